"""Pictures of the lens for the top of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from ...report.blocks import Figure, Picture
from ...report.scene_picture import Scene, words_figure
from ..runs import StudyRun
from .curves import OWN, covers_of, curves_of, kinds_of
from .options import LABELS

LAYERS_SHOWN = 4


def highlights(run: StudyRun) -> Sequence[Picture]:
    """Returns one image with each token's word: at a few layers, or by each kind of lens."""
    scenes = [scene for scene in run.scenes() if isinstance(scene.facts.get("words"), dict)]
    if not scenes:
        return ()
    scene = scenes[0]
    words = cast("dict[str, dict[str, list[str]]]", scene.facts["words"])
    kinds = [kind for kind in kinds_of(run) if kind in words]
    if len(kinds) > 1:
        how = "by each kind of lens, near the layer at which it names most object tokens"
        figures = [
            _figure(scene, words[kind], kind, _near_best(run, kind, words[kind])) for kind in kinds
        ]
    else:
        how = "at a few layers"
        layers = sorted(words[kinds[0]], key=int)
        if len(layers) > LAYERS_SHOWN:
            last = len(layers) - 1
            keep = {round(k * last / (LAYERS_SHOWN - 1)) for k in range(LAYERS_SHOWN)}
            layers = [layer for k, layer in enumerate(layers) if k in keep]
        figures = [
            words_figure(scene, "words", int(layer), words[kinds[0]][layer]) for layer in layers
        ]
    return (
        Picture(
            title="What each token says",
            text=(
                f"Image {scene.sample}: the nearest word of every visual token of {run.model}, "
                f"{how}. Tokens of objects are tinted; a word in bold is the name of the object "
                f"that its token shows ({', '.join(scene.sets)})."
            ),
            figures=tuple(figures),
        ),
    )


def _figure(scene: Scene, words: Mapping[str, list[str]], kind: str, layer: str) -> Figure:
    figure = words_figure(scene, f"words-{kind}", int(layer), words[layer])
    label = LABELS[kind].capitalize()
    return replace(
        figure,
        alt=f"{label}. {figure.alt}",
        caption=f"{label}, {figure.caption[0].lower()}{figure.caption[1:]}",
    )


def _near_best(run: StudyRun, kind: str, words: Mapping[str, list[str]]) -> str:
    """Returns, of the layers that were kept, the one nearest to the lens's best."""
    curve = curves_of(run, covers_of(run)[-1], kind).get(OWN)
    best = 0 if curve is None else curve.layers[curve.best]
    return min(words, key=lambda layer: abs(int(layer) - best))
