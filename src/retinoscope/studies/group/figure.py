"""Figures of the grouping study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...report.blocks import Figure, Record, file_name, python_lines
from ...report.rows import interval, number, pick, values
from ...report.style import BLUE, GREY, INK, MARKERS, ORANGE, SERIES, figure_style, svg_of
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
    from matplotlib.figure import Figure as Drawing

    name = file_name("group-labels", model)
    lens = bool(pick(rows, method="lens"))
    facts: list[str] = []
    with figure_style(name):
        drawing = Drawing(figsize=(9.2 if len(rules) > 1 else 6.0, 3.5))
        panels = drawing.subplots(1, len(rules), squeeze=False)[0]
        for panel, rule in zip(panels, rules, strict=True):
            of_rule = pick(rows, background=rule)
            facts += _by_layer(panel, of_rule) if lens else _by_method(panel, of_rule)
            limits = of_rule[0]
            for key, color, dash, label in (
                ("bound", INK, "-.", "bound of the grid"),
                ("constant", INK, ":", "one label for everything"),
            ):
                at = number(limits, key)
                if at is not None:
                    panel.axhline(at, color=color, ls=dash, lw=1.2, label=label)
            panel.set_title(_RULES[rule])
            panel.set_ylim(0, 1.04)
            panel.tick_params(labelcolor=INK)
        panels[0].set_ylabel("mean IoU")
        if lens:
            panels[0].set_xlabel("layer of the decoder", loc="left")
        _legend(drawing, panels)
        svg = svg_of(drawing)
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


def _by_layer(panel: Any, rows: Sequence[Record]) -> list[str]:
    facts = []
    for weights, key, color, dash, mark, label in (
        ("trained", "value", BLUE, "-", "o", "words"),
        ("trained", "control_value", ORANGE, "--", "s", "words swapped"),
        ("untrained", "value", GREY, "-.", "D", "random weights"),
    ):
        points = [
            (int(row["layer_number"] or 0), x)
            for row in pick(rows, method="lens", weights=weights)
            if (x := interval(row, key))
        ]
        if not points:
            continue
        at = [layer for layer, _ in points]
        panel.fill_between(
            at,
            [x.low for _, x in points],
            [x.high for _, x in points],
            color=color,
            alpha=0.14,
            lw=0,
        )
        panel.plot(at, [x.value for _, x in points], dash, marker=mark, color=color, label=label)
        best = max(points, key=lambda point: point[1].value)
        facts.append(f"{label}, most at layer {best[0]}: {best[1].value:.2f}")
    panel.xaxis.get_major_locator().set_params(integer=True)
    return facts


def _by_method(panel: Any, rows: Sequence[Record]) -> list[str]:
    facts, labels = [], []
    for weights, key, color, mark, label in (
        ("trained", "value", BLUE, "o", "prompts"),
        ("trained", "control_value", ORANGE, "s", "prompts swapped"),
        ("untrained", "value", GREY, "D", "random weights"),
    ):
        for row in pick(rows, weights=weights):
            x = interval(row, key)
            if x is not None:
                labels.append(label)
                _bar(panel, len(labels) - 1, x, color, mark)
                facts.append(f"{label}: {x.value:.2f}")
    panel.set_xticks(range(len(labels)), [label.replace(" ", "\n") for label in labels])
    panel.set_xlim(-0.5, len(labels) - 0.5)
    return facts


def _bar(panel: Any, at: float, x: Any, color: str, mark: str, label: str | None = None) -> None:
    panel.errorbar(
        [at], [x.value], [[x.value - x.low], [x.high - x.value]],
        fmt=mark, color=color, lw=1.8, capsize=0, label=label,
    )  # fmt: skip


def bottom_up_figure(run: StudyRun, rows: Sequence[Record], model: str) -> Figure | None:
    """Overlap with instances: layers across, one mark per way of grouping, nulls as lines."""
    rows = pick(rows, kind="bottom-up")
    asked = [row for row in rows if row["control"] is not None]
    layers = [str(layer) for layer in values(asked, "layer")]
    if not layers:
        return None
    from matplotlib.figure import Figure as Drawing

    name = file_name("group-overlap", model)
    kinds = [str(kind) for kind in values(asked, "method")]
    weights = [str(one) for one in values(asked, "weights")]
    facts: list[str] = []
    with figure_style(name):
        drawing = Drawing(figsize=(9.2 if len(weights) > 1 else 6.0, 3.6))
        panels = drawing.subplots(1, len(weights), squeeze=False, sharey=True)[0]
        for panel, which in zip(panels, weights, strict=True):
            for k, kind in enumerate(kinds):
                for place, layer in enumerate(layers):
                    for row in pick(asked, weights=which, method=kind, layer=layer):
                        x = interval(row, "value")
                        if x is not None:
                            shift = (k - (len(kinds) - 1) / 2) * 0.14
                            label = kind if place == 0 else None
                            _bar(panel, place + shift, x, SERIES[k % 6], MARKERS[k % 6], label)
                            facts.append(f"{which}, {kind} of {layer}: {x.value:.2f}")
            for null, dash in zip(_NULLS, ("-", "--", ":"), strict=True):
                for row in pick(rows, method=null)[:1]:
                    at = number(row, "value")
                    if at is not None:
                        panel.axhline(at, color=GREY, ls=dash, lw=1.3, label=null)
            bound = number(asked[0], "bound")
            if bound is not None:
                panel.axhline(bound, color=INK, ls="-.", lw=1.2, label="bound of the grid")
            panel.set_xticks(range(len(layers)), layers)
            panel.set_xlim(-0.5, len(layers) - 0.5)
            panel.set_ylim(0, 1.04)
            panel.tick_params(labelcolor=INK)
            panel.set_title({"trained": "trained", "untrained": "random weights"}[which])
        panels[0].set_ylabel("overlap with instances")
        _legend(drawing, panels)
        svg = svg_of(drawing)
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


def _legend(drawing: Any, panels: Any) -> None:
    drawing.tight_layout(w_pad=1.8)
    handles = {
        text: handle
        for panel in panels
        for handle, text in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    place = {"loc": "upper left", "bbox_to_anchor": (0.05, 0.0)}
    drawing.legend(handles.values(), handles, ncols=4, **place)
