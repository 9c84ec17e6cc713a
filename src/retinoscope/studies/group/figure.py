"""Figures of the grouping study."""

from __future__ import annotations

from collections.abc import Sequence

from ...report.blocks import Figure, Record, file_name, python_lines
from ...report.charts import Axis, Level, Look, Panel, Series, look_of, small_multiples, spread
from ...report.rows import interval, number, pick, values
from ...report.style import BLUE, GREY, ORANGE
from ..runs import StudyRun

_RULES = {
    "none": "objects' pixels only",
    "rest": "with background",
    "prompts": "with background prompts",
}
_NULLS = ("superpixels", "voronoi", "random")


def top_down_figure(run: StudyRun, rows: Sequence[Record], model: str) -> Figure | None:
    """Mean IoU by layer of the decoder, or one point per method; one panel per background rule."""
    rows = [row for row in pick(rows, kind="top-down", candidates="all") if _trial(row)]
    rules = [rule for rule in _RULES if pick(rows, background=rule)]
    if not rules:
        return None
    name = file_name("group-labels", model)
    lens = bool(pick(rows, method="lens"))
    panels, facts = [], []
    for rule in rules:
        of_rule = pick(rows, background=rule)
        levels = [
            Level(at, label, dash=dash)
            for key, dash, label in (
                ("bound", "-.", "bound of the grid"),
                ("constant", ":", "one label for everything"),
            )
            if (at := number(of_rule[0], key)) is not None
        ]
        series = _by_layer(of_rule) if lens else _by_method(of_rule)
        ticks = {} if lens else {one.points[0][0]: one.label.replace(" ", "\n") for one in series}
        panels.append(Panel(series, _RULES[rule], levels, ticks=ticks))
        for one in series:
            place, best = max(one.points, key=lambda point: point[1].value)
            where = f", most at layer {place:.0f}" if lens else ""
            facts.append(f"{one.label}{where}: {best.value:.2f}")
    svg = small_multiples(
        name,
        panels,
        Axis("layer of the decoder", whole=True) if lens else Axis(limits=(-0.5, 2.5)),
        Axis("mean IoU", (0, 1.04)),
        size=(9.2 if len(rules) > 1 else 6.0, 3.5),
    )
    return Figure(
        name=name,
        svg=svg,
        alt=f"{model}: mean IoU of labels from text. {'; '.join(facts)}.",
        caption=f"{model}: mean IoU of the labels that locations get from text"
        + (" in the lens, by layer." if lens else ".")
        + " Bands and bars are 95% intervals over images.",
        code=python_lines(run.place, _LABELS.format(model=model)),
    )


_LABELS = """
rows = [
    row for row in rows
    if row["kind"] == "top-down" and row["model"] == {model!r}
    and row["candidates"] == "all" and row["method"] in ("lens", "text")
]
for background in dict.fromkeys(row["background"] for row in rows):
    figure, panel = plt.subplots()
    for weights in ("trained", "untrained"):
        mine = [r for r in rows if (r["background"], r["weights"]) == (background, weights)]
        if not mine:
            continue
        at = [row["layer"] for row in mine]
        panel.plot(at, [row["value"] for row in mine], marker="o", label=weights)
        low, high = ([row[end] for row in mine] for end in ("value_low", "value_high"))
        panel.fill_between(at, low, high, alpha=0.2)
        if weights == "trained":
            swapped = [row["control_value"] for row in mine]
            panel.plot(at, swapped, "--", marker="s", label="swapped words")
            panel.axhline(mine[0]["bound"], color="black", ls="-.", label="bound of the grid")
            panel.axhline(mine[0]["constant"], color="black", ls=":", label="one label")
    panel.set(ylim=(0, 1.04), ylabel="mean IoU", title="background: " + background)
    panel.tick_params("x", rotation=90)
    panel.legend()
plt.show()
"""


def _trial(row: Record) -> bool:
    return row["method"] in ("lens", "text")


def _by_layer(rows: Sequence[Record]) -> list[Series]:
    series = []
    for label, weights, key, look in _SHOWN:
        points = [
            (int(row["layer_number"] or 0), x)
            for row in pick(rows, method="lens", weights=weights)
            if (x := interval(row, key))
        ]
        if points:
            series.append(Series(label.replace("prompts", "words"), points, look))
    return series


def _by_method(rows: Sequence[Record]) -> list[Series]:
    found = [
        (label, x, look)
        for label, weights, key, look in _SHOWN
        for row in pick(rows, weights=weights)
        if (x := interval(row, key))
    ]
    return [
        Series(label, [(place, x)], look._replace(dash=""), bars=True)
        for place, (label, x, look) in enumerate(found)
    ]


_SHOWN = (
    ("prompts", "trained", "value", Look(BLUE)),
    ("prompts swapped", "trained", "control_value", Look(ORANGE, "--", "s")),
    ("random weights", "untrained", "value", Look(GREY, "-.", "D")),
)
"""Label, weights and column of each series of labels from text."""


def bottom_up_figure(run: StudyRun, rows: Sequence[Record], model: str) -> Figure | None:
    """Overlap with instances: layers across, one mark per way of grouping, nulls as lines."""
    rows = pick(rows, kind="bottom-up")
    asked = [row for row in rows if row["control"] is not None]
    layers = [str(layer) for layer in values(asked, "layer")]
    if not layers:
        return None
    kinds = [str(kind) for kind in values(asked, "method")]
    weights = [str(one) for one in values(asked, "weights")]
    levels = [
        Level(at, null, GREY, dash)
        for null, dash in zip(_NULLS, ("-", "--", ":"), strict=True)
        for row in pick(rows, method=null)[:1]
        if (at := number(row, "value")) is not None
    ]
    if (bound := number(asked[0], "bound")) is not None:
        levels.append(Level(bound, "bound of the grid", dash="-."))
    panels, facts = [], []
    for one in weights:
        series = []
        for k, kind in enumerate(kinds):
            found = [
                (layers.index(str(row["layer"])), x)
                for row in pick(asked, weights=one, method=kind)
                if (x := interval(row, "value"))
            ]
            shift = spread(k, len(kinds), 0.14)
            points = [(place + shift, x) for place, x in found]
            series.append(Series(kind, points, look_of(k)._replace(dash=""), bars=True))
            facts += [f"{one}, {kind} of {layers[place]}: {x.value:.2f}" for place, x in found]
        title = {"trained": "trained", "untrained": "random weights"}[one]
        panels.append(Panel(series, title, levels))
    name = file_name("group-overlap", model)
    svg = small_multiples(
        name,
        panels,
        Axis(limits=(-0.5, len(layers) - 0.5), ticks=dict(enumerate(layers))),
        Axis("overlap with instances", (0, 1.04)),
        size=(9.2 if len(weights) > 1 else 6.0, 3.6),
    )
    return Figure(
        name=name,
        svg=svg,
        alt=f"{model}: overlap of groups with instances by best match. {'; '.join(facts)}.",
        caption=f"{model}: overlap (Jaccard index) of an image's instances with the group that "
        "fits each best, by layer and way of grouping. Bars are 95% intervals over images; lines "
        "are groups that no feature had a part in.",
        code=python_lines(run.place, _OVERLAP.format(model=model)),
    )


_OVERLAP = """
rows = [row for row in rows if row["kind"] == "bottom-up" and row["model"] == {model!r}]
for weights in ("trained", "untrained"):
    mine = [row for row in rows if row["weights"] == weights and row["control"]]
    if not mine:
        continue
    figure, panel = plt.subplots()
    for method in dict.fromkeys(row["method"] for row in mine):
        some = [row for row in mine if row["method"] == method]
        value, low, high = ([row["value" + end] for row in some] for end in ("", "_low", "_high"))
        below = [a - b for a, b in zip(value, low)]
        above = [b - a for a, b in zip(value, high)]
        panel.errorbar([row["layer"] for row in some], value, [below, above], fmt="o", label=method)
    for row in rows:
        if row["control"] is None:
            panel.axhline(row["value"], color="grey", lw=1)
            panel.annotate(row["method"], (0, row["value"]))
    panel.axhline(mine[0]["bound"], color="black", ls="-.", label="bound of the grid")
    panel.set(ylim=(0, 1.04), ylabel="overlap with instances", title=weights)
    panel.legend()
plt.show()
"""
