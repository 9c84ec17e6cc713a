"""Pictures of the lens for the top of the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from ...report.blocks import Picture
from ...report.scene_picture import words_figure
from ..runs import StudyRun

LAYERS_SHOWN = 4


def highlights(run: StudyRun) -> Sequence[Picture]:
    """Returns one image with the word of each token, at a few layers."""
    scenes = [scene for scene in run.scenes() if isinstance(scene.facts.get("words"), dict)]
    if not scenes:
        return ()
    scene = scenes[0]
    words = cast("dict[str, list[str]]", scene.facts["words"])
    layers = sorted(words, key=int)
    if len(layers) > LAYERS_SHOWN:
        last = len(layers) - 1
        keep = {round(k * last / (LAYERS_SHOWN - 1)) for k in range(LAYERS_SHOWN)}
        layers = [layer for k, layer in enumerate(layers) if k in keep]
    return (
        Picture(
            title="What each token says",
            text=(
                f"Image {scene.sample}: the most probable word of every visual token of "
                f"{run.model}, at a few layers. Tokens of objects are tinted; a word in bold "
                f"is the name of the object that its token shows ({', '.join(scene.sets)})."
            ),
            figures=tuple(
                words_figure(scene, "words", int(layer), words[layer]) for layer in layers
            ),
        ),
    )
