"""Pictures of groups for the top of the report."""

from __future__ import annotations

from collections.abc import Sequence

from ...report.blocks import Picture
from ..runs import StudyRun
from .picture import group_figures

GROUPED = 2
"""Number of images of each model that are shown with labels and groups."""
FEW = 3
"""Number of models beyond which only one image each is shown."""


def highlights(run: StudyRun) -> Sequence[Picture]:
    """Returns images with labels and groups, of each model."""
    # Of encoders that are compared by seed, show one seed each.
    scenes = [
        scene
        for scene in run.scenes()
        if isinstance(scene.facts.get("groups"), dict) and not scene.facts.get("training_seed")
    ]
    models = list(dict.fromkeys(str(scene.facts.get("model", "")) for scene in scenes))
    many = len(models) > FEW
    pictures = []
    for model in models:
        of_model = [scene for scene in scenes if scene.facts.get("model") == model]
        of_model = of_model[: 1 if many else GROUPED]
        pictures += [
            Picture(
                title=f"What {model} puts where",
                text=(
                    f"Image {scene.sample}: the truth, the labels that its locations get, and the "
                    "groups that its features fall into (their colours mean nothing)."
                ),
                figures=group_figures(scene, f"group-{model}-{number}"),
            )
            for number, scene in enumerate(of_model)
        ]
    return pictures
