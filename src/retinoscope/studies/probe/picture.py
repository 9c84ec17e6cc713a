"""Dense predictions beside the truth, as vector graphics over the image."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from ...report.blocks import Figure
from ...report.scene_picture import WIDTH, Scene, scene_of
from ...report.style import INK
from .. import Categories, read_categories
from ..runs import StudyRun

GAP, LABEL, COLUMNS = 14.0, 24.0, 4
_FEW = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
"""Okabe and Ito's palette, not the page's: what lies below is the image, in dark mode too."""

_CODE = """# In the folder of the report.
import matplotlib.pyplot as plt
import retinoscope as rs
from retinoscope.tokens import spread

results = rs.studies.open_results({place!r})
example = results.examples()[{number}]
image = plt.imread(results.path / example["image"])
maps = rs.studies.read_categories(results.path, example["sample"])
found = next(one for one in maps if one.name == {name!r})
pixels = spread(found.values.astype(float), found.boxes, tuple(example["size"]))
fig, panels = plt.subplots(1, len(found.layers), figsize=(3 * len(found.layers), 3))
for panel, layer, classes in zip(panels, found.layers, pixels):
    panel.imshow(image)
    panel.imshow(classes, alpha=0.6 * (classes > 0), cmap="tab20", interpolation="nearest")
    panel.set_title(layer)
fig.savefig({file!r})
"""


def dense_figures(run: StudyRun, tasks: Sequence[str]) -> tuple[Figure, ...]:
    """One figure per example and task of the first encoder: the truth, then each layer."""
    found: list[Figure] = []
    for number, facts in enumerate(run.results.examples()):
        scene = scene_of(facts, run.path)
        if scene is None:
            continue
        maps = read_categories(Path(run.path), scene.sample)
        for task in tasks:
            one = next((one for one in maps if one.task == task), None)
            if one is not None:
                found.append(_figure(run, scene, one, task, number))
    return tuple(found)


def _figure(run: StudyRun, scene: Scene, one: Categories, task: str, number: int) -> Figure:
    layers = [len(one.layers) - 1, *range(len(one.layers) - 1)]
    height = scene.height * scene.scale
    columns = min(COLUMNS, len(layers))
    line = height + LABEL + 20
    present = sorted({int(v) for v in np.unique(one.values) if v >= 0 and not _clear(one, int(v))})
    body: list[str] = []
    for place, layer in enumerate(layers):
        left, down = place % columns * (WIDTH + GAP), place // columns * line + LABEL + 6
        title = "truth" if place == 0 else one.layers[layer]
        body.append(
            f'<g transform="translate({left:.1f} {down:.1f})">'
            f'<text x="0" y="-10" style="font-size:24px;font-family:sans-serif;fill:{INK}">'
            f"{escape(title)}</text>"
            f'<image href="{scene.data}" x="0" y="0" width="{WIDTH:g}" height="{height:.2f}" '
            'preserveAspectRatio="none"/>' + _cells(scene, one, layer) + "</g>"
        )
    width = columns * (WIDTH + GAP) - GAP
    top = -(-len(layers) // columns) * line + 30
    legend, bottom = _legend(one, present, width, top)
    name = f"probe-{task}-{number}"
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.1f} {bottom:.1f}" '
        f'width="{width:.1f}" height="{bottom:.1f}">{"".join(body)}{legend}</svg>'
    )
    right = [
        float((one.values[k] == one.values[-1])[one.values[-1] >= 0].mean())
        for k in range(len(one.layers) - 1)
        if (one.values[-1] >= 0).any()
    ]
    said = "; ".join(
        f"{layer} {share:.2f}" for layer, share in zip(one.layers, right, strict=False)
    )
    return Figure(
        name=name,
        svg=svg,
        alt=f"Image {scene.sample}, {one.name}: truth and predictions by layer. Share of labelled "
        f"locations that agree: {said}.",
        caption=f"{_TITLES.get(task, task)} on image {scene.sample}, which was not trained on: the "
        "truth of each location, then the prediction from each layer."
        + (" Colours of objects have no order." if task == "instances" else ""),
        code=_CODE.format(place=run.place, number=number, name=one.name, file=f"{name}.svg"),
    )


_TITLES = {"semantic": "Names", "instances": "Objects apart", "parts": "Parts"}


def _clear(one: Categories, value: int) -> bool:
    return one.classes[value] == "background"


def _cells(scene: Scene, one: Categories, layer: int) -> str:
    shapes: list[str] = []
    for value, box in zip(one.values[layer].tolist(), one.boxes.tolist(), strict=True):
        if value < 0 or _clear(one, value) or any(x != x for x in box):
            continue
        x0, y0, x1, y1 = (x * scene.scale for x in box)
        shapes.append(
            f'<rect x="{x0:.2f}" y="{y0:.2f}" width="{x1 - x0:.2f}" height="{y1 - y0:.2f}" '
            f'style="fill:{_color(one, value)}"/>'
        )
    return f'<g style="fill-opacity:.66;stroke:#fff;stroke-width:.6">{"".join(shapes)}</g>'


def _legend(one: Categories, present: Sequence[int], width: float, top: float) -> tuple[str, float]:
    parts: list[str] = []
    x, y = 0.0, top
    for value in present:
        text = one.classes[value]
        need = 40.0 + 13.5 * len(text)
        if x + need > width and x:
            x, y = 0.0, y + 34
        parts.append(
            f'<rect x="{x:.1f}" y="{y - 18:.1f}" width="22" height="22" rx="4" '
            f'style="fill:{_color(one, value)}"/><text x="{x + 30:.1f}" y="{y:.1f}" '
            f'style="font-size:22px;font-family:sans-serif;fill:{INK}">{escape(text)}</text>'
        )
        x += need
    return "".join(parts), y + 14


def _color(one: Categories, value: int) -> str:
    plain = value - 1 if one.classes[0] == "background" else value
    if len(one.classes) <= len(_FEW) + 1:
        return _FEW[plain % len(_FEW)]
    light = (0.56, 0.72, 0.42)[plain % 3]
    red, green, blue = colorsys.hls_to_rgb((plain * 137.508 % 360) / 360, light, 0.72)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"
