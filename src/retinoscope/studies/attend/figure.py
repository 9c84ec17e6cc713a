"""Figures of the comparison of heat maps: leaderboard, methods by layers, the maps themselves."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import cast

from ...report.blocks import Figure, Interval, Record
from ...report.charts import Axis, Look, Panel, Series, heat_map, small_multiples
from ...report.rows import interval, pick, values
from ...report.scene_picture import WIDTH, Scene
from ...report.style import BLUE, GREY, INK, MUTED, ORANGE
from .options import BASELINES

MEASURE_NAMES = {
    "pointing": "largest value on the object",
    "mass": "positive mass on the object",
    "ap": "average precision of the object's pixels",
    "iou_best": "IoU at the best threshold (oracle)",
}
SHORT = {
    "pointing": "pointing",
    "mass": "mass",
    "ap": "average precision",
    "iou_best": "best IoU",
}
_POSITIVE, _NEGATIVE = "#b2182b", "#2166ac"
_COLUMNS = 4
_GAP = 14.0
_TITLE = 30.0


def leaders_figure(rows: Sequence[Record], task: str) -> Figure | None:
    """A forest plot of methods and their controls, one panel per measure.

    None if no measure is defined because every map is constant.
    """
    measures = [name for name in ("pointing", "ap") if pick(rows, measure=name)]
    if not measures:
        return None
    order = [str(row["method"]) for row in pick(rows, measure=measures[0])]
    order += [m for m in dict.fromkeys(str(row["method"]) for row in rows) if m not in order]
    asked = [name for name in order if name not in BASELINES]

    def points(measure: str, column: str, methods: Collection[str]) -> list[tuple[float, Interval]]:
        return [
            (order.index(str(row["method"])), x)
            for row in pick(rows, measure=measure)
            if row["method"] in methods and (x := interval(row, column))
        ]

    def series(measure: str) -> list[Series]:
        return [
            # Without intervals, which would hide those of the methods.
            Series(
                "under another image's mask",
                points(measure, "control", order),
                Look(ORANGE, "", "|"),
            ),
            Series("method", points(measure, "value", asked), Look(BLUE, ""), bars=True),
            Series(
                "looks at no model", points(measure, "value", BASELINES), Look(GREY, ""), bars=True
            ),
        ]

    facts = [
        f"{order[int(place)]}, {SHORT[measure]} {x.value:.2f}"
        for measure in measures
        for place, x in points(measure, "value", order)
    ]
    return Figure(
        name=f"attend-leaders-{task}",
        svg=small_multiples(
            f"attend-leaders-{task}",
            [Panel(series(measure), MEASURE_NAMES[measure]) for measure in measures],
            Axis(limits=(-0.02, 1.02)),
            Axis(limits=(len(order) - 0.5, -0.5), ticks=dict(enumerate(order))),
            size=(9.2, 1.1 + 0.3 * len(order)),
            sideways=True,
        ),
        alt="Methods from best to worst. " + "; ".join(facts) + ".",
        caption="Methods from best to worst, each at the layer that was best on the other half of "
        "the images. Points with 95% intervals over images; the upright orange bar is the same "
        "map's score under another image's mask. Grey: maps that look at no model.",
    )


def layers_figure(rows: Sequence[Record], task: str, measure: str) -> Figure | None:
    """A heat map: methods that take a layer, by layer; None if there are none."""
    rows = [row for row in pick(rows, task=task, weights="trained") if row["layer"] is not None]
    if not rows:
        return None
    methods = [str(name) for name in values(rows, "method")]
    layers = sorted({int(cast(int, row["layer"])) for row in rows})
    of_cell = {
        (str(row["method"]), int(cast(int, row["layer"]))): x.value
        for row in rows
        if (x := interval(row, measure))
    }
    best = max(of_cell, key=lambda key: of_cell[key]) if of_cell else None
    most = "" if best is None else f" Highest: {best[0]} at layer {best[1]}, {of_cell[best]:.2f}."
    name = f"attend-layers-{task}"
    return Figure(
        name=name,
        svg=heat_map(
            name,
            [[of_cell.get((method, layer)) for layer in layers] for method in methods],
            methods,
            [str(layer) for layer in layers],
            label=SHORT[measure],
            x="layer",
            width=min(9.2, 2.6 + 0.52 * len(layers)),
        ),
        alt=f"{MEASURE_NAMES[measure]} by method and layer.{most}",
        caption=f"{MEASURE_NAMES[measure][0].upper()}{MEASURE_NAMES[measure][1:]}, by layer, of "
        f"the methods that take one; all images.{most} Layers of attention, rollout and Grad-CAM "
        "are blocks from 0; 0 of the lens is the decoder's input. Empty: undefined.",
        wide=False,
    )


def maps_figure(scene: Scene, name: str, shown: Sequence[tuple[str, int | None]]) -> Figure | None:
    """The maps of one target side by side over the image, the object's tokens outlined."""
    facts = scene.facts.get("maps")
    maps = {
        (str(entry["method"]), entry.get("layer")): cast("list[float]", entry["values"])
        for entry in cast("list[dict]", facts if isinstance(facts, list) else [])
    }
    chosen = [key for key in shown if key in maps]
    if not chosen:
        return None
    width = (WIDTH * 2 - _GAP * (_COLUMNS - 1)) / _COLUMNS
    scale = width / WIDTH
    height = scene.height * scene.scale * scale
    rows = -(-len(chosen) // _COLUMNS)
    whole = rows * (height + _TITLE) + (rows - 1) * _GAP
    panels = []
    for number, key in enumerate(chosen):
        row, column = divmod(number, _COLUMNS)
        x, y = column * (width + _GAP), row * (height + _TITLE + _GAP)
        label = key[0] if key[1] is None else f"{key[0]}, layer {key[1]}"
        panels.append(
            f'<g transform="translate({x:.2f} {y:.2f})"><text x="0" y="20" '
            f'style="font-size:15px;font-family:sans-serif;fill:{INK}">{label}</text>'
            f'<g transform="translate(0 {_TITLE:g}) scale({scale:.4f})">'
            f'<use href="#picture"/>{_heat(scene, maps[key])}</g></g>'
        )
    picture = (
        f'<defs><g id="picture"><image href="{scene.data}" x="0" y="0" width="{WIDTH:g}" '
        f'height="{scene.height * scene.scale:.2f}" preserveAspectRatio="none"/></g></defs>'
    )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH * 2:g} {whole:.2f}" '
        f'width="{WIDTH * 2:g}" height="{whole:.2f}">{picture}{"".join(panels)}</svg>'
    )
    target = str(scene.facts.get("target") or "")
    return Figure(
        name=name,
        svg=svg,
        alt=f"{len(chosen)} heat maps of {target} on image {scene.sample}.",
        caption=f"Maps of {target}: red speaks for it, blue against, each on its own scale. "
        f"Dashed: the tokens of the {scene.object_name}.",
    )


def _heat(scene: Scene, numbers: Sequence[float]) -> str:
    """Draws the image faded, tokens tinted, and the object's tokens outlined."""
    height = scene.height * scene.scale
    most = max((abs(x) for x in numbers), default=0.0)
    shapes = [
        f'<rect x="0" y="0" width="{WIDTH:g}" height="{height:.2f}" '
        f'style="fill:{MUTED};fill-opacity:.28"/>'
    ]
    for token, value in enumerate(numbers):
        strength = abs(value) / most if most else 0.0
        if strength >= 0.02:
            color = _POSITIVE if value > 0 else _NEGATIVE
            shapes.append(scene.rects([token], f"fill:{color};fill-opacity:{0.9 * strength:.2f}"))
    outline = "fill:none;stroke:#ffffff;stroke-width:4;stroke-dasharray:10 7"
    shapes.append(scene.outline(scene.sets.get("object", ()), outline))
    return "".join(shapes)
