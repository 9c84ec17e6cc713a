"""What the report shows of groups at its top."""

from __future__ import annotations

from collections.abc import Sequence

from ...report.blocks import Picture
from ..runs import StudyRun
from .picture import group_figures

GROUPED = 2
"""Images of each model that are shown with labels and groups."""
FEW = 3
"""Of more models one image each is shown."""


def highlights(run: StudyRun) -> Sequence[Picture]:
    """Images with labels and groups, of each model."""
    scenes = [scene for scene in run.scenes() if isinstance(scene.facts.get("groups"), dict)]
    models = list(dict.fromkeys(str(scene.facts.get("model", "")) for scene in scenes))
    # Of encoders that are compared by seed, one seed each.
    models = [
        name
        for name in models
        if "/" not in name.removeprefix("small:")
        or not name.startswith("small:")
        or name.endswith("/0")
    ]
    many = len(models) > FEW
    made = []
    for model in models:
        mine = [scene for scene in scenes if scene.facts.get("model") == model]
        mine = mine[: 1 if many else GROUPED]
        made += [
            Picture(
                title=f"What {model} puts where",
                text=(
                    f"Image {scene.sample}: the truth, the labels that its locations get, and the "
                    "groups that its features fall into (their colours mean nothing)."
                ),
                figures=group_figures(scene, f"group-{model}-{number}"),
            )
            for number, scene in enumerate(mine)
        ]
    return made
