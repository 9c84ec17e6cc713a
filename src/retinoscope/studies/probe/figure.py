"""Figures of the probes: both axes as paths over layers, and every task by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...report.blocks import Figure, Record, python_lines
from ...report.rows import interval, number, pick, values
from ...report.style import GREY, INK, MARKERS, MUTED, SERIES, figure_style, svg_of
from ..runs import StudyRun

SEMANTICS = ("name", "class_accuracy")
LOCALISATION = ("foreground", "iou")
"""Task and measure that stand for an axis in the scatter."""

_SCATTER = """
def points(task, measure):
    return {(r["encoder"], r["layer"]): r for r in rows
            if (r["task"], r["measure"], r["kind"]) == (task, measure, "encoder")}

names, places = points("name", "class_accuracy"), points("foreground", "iou")
for encoder in dict.fromkeys(key[0] for key in names):
    keys = [key for key in names if key[0] == encoder and key in places]
    plt.plot([names[k]["value"] for k in keys], [places[k]["value"] for k in keys], "o-",
             label=encoder)
plt.xlabel("names of objects, masks given"); plt.ylabel("foreground IoU"); plt.legend()
plt.savefig("probe-axes.svg")
"""
_CURVES = """
tasks = list(dict.fromkeys(r["task"] for r in rows))
fig, panels = plt.subplots(1, len(tasks), figsize=(3.2 * len(tasks), 3))
for panel, task in zip(panels, tasks):
    measure = next(r["measure"] for r in rows if r["task"] == task)
    for encoder in dict.fromkeys(r["encoder"] for r in rows):
        own = [r for r in rows if r["encoder"] == encoder
               and (r["task"], r["measure"]) == (task, measure)]
        panel.plot([r["layer"] for r in own], [r["value"] for r in own], "o-", label=encoder)
    panel.set_title(task)
panels[0].legend(); fig.savefig("probe-layers.svg")
"""


def groups_of(run: StudyRun) -> list[Record]:
    """One row per encoder, its training runs taken together, and per baseline."""
    return run.extra("groups")


def axes_figure(run: StudyRun) -> Figure | None:
    """Semantics against localisation; a path is an encoder, its points are layers."""
    from matplotlib.figure import Figure as Drawing
    from matplotlib.ticker import PercentFormatter

    rows = groups_of(run)
    across = {_key(row): row for row in _task(rows, SEMANTICS)}
    up = {_key(row): row for row in _task(rows, LOCALISATION)}
    shared = [key for key in across if key in up]
    if not shared:
        return None
    facts: list[str] = []
    with figure_style("probe-axes"):
        drawing = Drawing(figsize=(9.2, 4.4))
        panel = drawing.subplots()
        names = list(dict.fromkeys(key[0] for key in shared))
        kinds = {key[0]: str(across[key].get("kind")) for key in reversed(shared)}
        styles = _styles({name: kinds[name] for name in names})
        for name in names:
            points = [(across[key], up[key]) for key in shared if key[0] == name]
            _path(panel, points, name, styles[name])
            if kinds[name] == "encoder":
                if len(names) <= 6:
                    _name_ends(panel, points)
                facts += [
                    f"{name} {x['layer']}: {_value(x):.2f}, {_value(y):.2f}" for x, y in points
                ]
        bound = next((b for key in shared if (b := number(up[key], "bound")) is not None), None)
        if bound is not None:
            panel.axhline(bound, color=INK, lw=1, ls=(0, (1, 3)))
            panel.annotate(
                "the best that one answer per location can reach",
                (0.01, bound),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                xytext=(0, 4),
                fontsize=8.5,
                color=MUTED,
            )
        panel.set_xlabel("names of objects, their masks given: mean class accuracy", loc="left")
        panel.set_ylabel("object or background: IoU")
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        panel.margins(0.06, 0.1)
        panel.set_xlim(left=0.0)
        panel.tick_params(labelcolor=INK)
        drawing.tight_layout()
        place = {"loc": "upper left", "bbox_to_anchor": (0.02, 0.0)}
        drawing.legend(*panel.get_legend_handles_labels(), ncols=3, **place)
        svg = svg_of(drawing)
    return Figure(
        name="probe-axes",
        svg=svg,
        alt="Accuracy of names and IoU of the foreground by encoder and layer. "
        + "; ".join(facts)
        + ".",
        caption="Semantics against localisation. A path is an encoder, its points are layers from "
        "the image on; grey is random weights or raw pixels. Lines are 95% intervals over images"
        + (" and training runs." if any(int(r.get("n_runs") or 1) > 1 for r in rows) else "."),
        code=python_lines(run.place, _SCATTER, 'extras()["groups"]'),
    )


def _styles(kinds: Mapping[str, str]) -> dict[str, tuple[str, str, str]]:
    """Colour, marker and line of each series: an encoder's own, or a baseline's."""
    styles = {
        name: (GREY, "x", "") if kind == "pixels" else (GREY, "D", ":")
        for name, kind in kinds.items()
    }
    for n, name in enumerate(name for name, kind in kinds.items() if kind == "encoder"):
        dash = "-" if n < len(SERIES) else "--"
        styles[name] = SERIES[n % len(SERIES)], MARKERS[n % len(MARKERS)], dash
    return styles


def _path(
    panel, points: Sequence[tuple[Record, Record]], name: str, style: tuple[str, str, str]
) -> None:
    """The layers of one encoder, with the interval of each along both axes."""
    color, mark, dash = style
    x, y = ([_value(row) for row in rows] for rows in zip(*points, strict=True))
    panel.plot(x, y, dash, marker=mark, color=color, label=name, lw=1.5)
    for across, up in points:
        if error := interval(across, "value"):
            at = ([error.low, error.high], [_value(up)] * 2)
            panel.plot(*at, "-", color=color, lw=0.8, alpha=0.5)
        if error := interval(up, "value"):
            at = ([_value(across)] * 2, [error.low, error.high])
            panel.plot(*at, "-", color=color, lw=0.8, alpha=0.5)


def _name_ends(panel, points: Sequence[tuple[Record, Record]]) -> None:
    """Writes the layer's name at both ends of a path."""
    for across, up in points if len(points) == 1 else (points[0], points[-1]):
        panel.annotate(
            str(across["layer"]),
            (_value(across), _value(up)),
            textcoords="offset points",
            xytext=(6, 5),
            fontsize=8.5,
            color=MUTED,
        )


def layers_figure(run: StudyRun, measures: Sequence[tuple[str, str, str]]) -> Figure | None:
    """Every task by layer; one panel a task, one line an encoder.

    Args:
        measures: task, measure and title of each panel.
    """
    from matplotlib.figure import Figure as Drawing
    from matplotlib.ticker import PercentFormatter

    rows = [row for row in groups_of(run) if row.get("kind") != "pixels"]
    shown = [one for one in measures if _task(rows, one[:2])]
    if not shown:
        return None
    columns = min(3, len(shown))
    lines = -(-len(shown) // columns)
    with figure_style("probe-layers"):
        drawing = Drawing(figsize=(9.6, 2.75 * lines + 0.4))
        panels = drawing.subplots(lines, columns, squeeze=False).ravel()
        for panel in panels[len(shown) :]:
            panel.set_visible(False)
        for panel, (task, measure, title) in zip(panels, shown, strict=False):
            own = _task(rows, (task, measure))
            layers = list(dict.fromkeys(str(row["layer"]) for row in sorted(own, key=_order)))
            names = [str(name) for name in values(own, "encoder")]
            kinds = {name: str(pick(own, encoder=name)[0].get("kind")) for name in names}
            for name, (color, mark, dash) in _styles(kinds).items():
                points = pick(own, encoder=name)
                at = [layers.index(str(row["layer"])) for row in points]
                found = [interval(row, "value") for row in points]
                low = [x.low if x else float("nan") for x in found]
                high = [x.high if x else float("nan") for x in found]
                panel.fill_between(at, low, high, color=color, alpha=0.13, lw=0)
                middle = [_value(row) for row in points]
                panel.plot(at, middle, dash, marker=mark, color=color, label=name, lw=1.6)
            for name, style in (("bound", (0, (1, 3))), ("constant", (0, (5, 4)))):
                level = _level(run, task, measure, name)
                if level is not None:
                    panel.axhline(level, color=INK, lw=1, ls=style, label=_LEVELS[name])
            panel.set_title(title)
            panel.set_xticks(range(len(layers)), layers, rotation=35, ha="right", fontsize=8.5)
            panel.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
            panel.set_ylim(bottom=0)
            panel.tick_params(labelcolor=INK)
        drawing.tight_layout(w_pad=1.4, h_pad=1.6)
        handles = {
            text: handle
            for panel in panels[: len(shown)]
            for handle, text in zip(*panel.get_legend_handles_labels(), strict=True)
        }
        place = {"loc": "upper left", "bbox_to_anchor": (0.03, 0.0)}
        drawing.legend(handles.values(), handles, ncols=3, **place)
        svg = svg_of(drawing)
    return Figure(
        name="probe-layers",
        svg=svg,
        alt="Every task by layer: " + "; ".join(title for _, _, title in shown) + ".",
        caption="Every task by layer. Bands are 95% intervals.",
        code=python_lines(run.place, _CURVES, 'extras()["groups"]'),
    )


_LEVELS = {
    "bound": "best that one answer per location can reach",
    "constant": "constant answer",
}


def _level(run: StudyRun, task: str, measure: str, name: str) -> float | None:
    rows = pick(run.summary, task=task, measure=measure)
    return next((x for row in rows if (x := number(row, name)) is not None), None)


def _order(row: Record) -> tuple[bool, int]:
    """Layers come in the encoders' order; a baseline has some of them only."""
    return row.get("kind") != "encoder", int(row.get("depth") or 0)


def _task(rows: Sequence[Record], task: tuple[str, str]) -> list[Record]:
    return pick(rows, task=task[0], measure=task[1])


def _key(row: Record) -> tuple[str, str]:
    return str(row["encoder"]), str(row["layer"])


def _value(row: Record) -> float:
    found = number(row, "value")
    return float("nan") if found is None else found
