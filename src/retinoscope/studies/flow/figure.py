"""Figures of the information-flow study."""

from __future__ import annotations

from collections.abc import Sequence

from ...report.blocks import TO, Figure, Interval, Record
from ...report.charts import Axis, Level, Look, Panel, Series, heat_map, small_multiples, spread
from ...report.rows import band, first, interval, pick
from ...report.style import BLUE, GREY, MARKERS, ORANGE, SERIES
from .names import READING_NAMES, WHOLE, edge_names, edges_in

_MEASURES = {
    "description": ("f1", "F1 of the objects named", 1.0),
    "question": ("probability_change", "change of the correct answer's probability", 0.0),
}
_READINGS = {"query": Look(BLUE, "", "o"), "generated": Look(ORANGE, "", "s")}
_DASHES = ("-", "--", "-.", ":", "-", "--")
_LOOKS = [Look(*look) for look in zip(SERIES, _DASHES, MARKERS, strict=True)]
_KINDS = {"slide": "blocked only in the window", "keep": "blocked but in the window"}


def edges_figure(rows: Sequence[Record], task: str, readings: Sequence[str]) -> Figure:
    """One line per set of edges, blocked in all layers; both readings, each with its control."""
    measure, label, none = _MEASURES[task]
    edges = edges_in(rows)

    def effects(reading: str, is_control: bool) -> list[tuple[int, Interval]]:
        intervals = (_of(rows, measure, reading, names, is_control) for names in edges)
        return [(i, x) for i, x in enumerate(intervals) if x]

    series, facts = [], []
    for k, reading in enumerate(readings):
        shift = spread(k, len(readings), 0.3)
        text = f"last position {READING_NAMES[reading]}"
        measured, control = effects(reading, False), effects(reading, True)
        series += [
            Series(text, [(i + shift, x) for i, x in measured], _READINGS[reading], bars=True),
            Series(
                "" if k else "as many random edges",
                [(i + shift + 0.1, x) for i, x in control],
                Look(GREY, "", "x"),
                bars=True,
            ),
        ]
        facts += [
            f"{edge_names(edges[i])} ({READING_NAMES[reading]}): {x.value:.2f}" for i, x in measured
        ]
    name = f"flow-edges-{task}"
    return Figure(
        name=name,
        svg=small_multiples(
            name,
            [Panel(series, levels=[Level(none)])],
            Axis(label),
            Axis(ticks={i: _wrapped(names) for i, names in enumerate(edges)}),
            size=(9.2, 1.0 + 0.52 * len(edges)),
            sideways=True,
        ),
        alt=f"{label} by blocked edges. " + "; ".join(facts) + ".",
        caption=f"{label[0].upper()}{label[1:]} when edges are blocked in all layers, while the "
        "prompt is read and while the model writes. The line is no impact; bars are 95% intervals.",
    )


def windows_figure(rows: Sequence[Record], reading: str) -> Figure | None:
    """F1 against the first layer of the window that is blocked, and of the one that is kept."""
    rows = pick(rows, is_control=False)
    kinds = [kind for kind in _KINDS if pick(rows, layers=kind)]
    if not kinds:
        return None
    lines = [names for names in edges_in(rows) if "," not in names or names == WHOLE]
    lines = lines[: len(SERIES)]

    def points(edges: str, kind: str) -> list[tuple[float, Interval]]:
        measured = [
            (int(row["first_layer"] or 0), x)
            for row in pick(rows, edges=edges, layers=kind)
            if (x := band(row, "f1"))
        ]
        return sorted(measured, key=lambda point: point[0])

    panels = [
        Panel(
            [
                Series(edge_names(edges), points(edges, kind), look)
                for edges, look in zip(lines, _LOOKS, strict=False)
            ],
            _KINDS[kind],
            [Level(1.0)],
        )
        for kind in kinds
    ]
    name = f"flow-windows-{reading}"
    where = f"The same by window of layers (last position {READING_NAMES[reading]})."
    both = " Left, where it matters; right, which layers are enough." if len(kinds) > 1 else ""
    return Figure(
        name=name,
        svg=small_multiples(
            name,
            panels,
            Axis("first layer of the window", whole=True),
            Axis("F1 of the objects named", (-0.03, 1.06)),
            legend=2,
        ),
        alt=f"F1 by window of layers, last position {READING_NAMES[reading]}. Numbers in the CSV "
        "file.",
        caption=f"{where}{both} Bands cover a whole curve with 95% confidence.",
    )


def layers_figure(rows: Sequence[Record], reading: str) -> Figure | None:
    """A heat map: edges by window of layers."""
    rows = pick(rows, is_control=False)
    windows = [
        (kind, *ends)
        for kind in _KINDS
        for ends in sorted({_ends(row) for row in pick(rows, layers=kind)})
    ]
    if not windows:
        return None
    edges = edges_in(rows)
    cells = [
        [
            interval(
                first(rows, edges=names, layers=kind, first_layer=start, last_layer=stop), "f1"
            )
            for kind, start, stop in windows
        ]
        for names in edges
    ]
    names = [_window_name(*window) for window in windows]
    facts = [
        f"{edge_names(blocked)}, {window}: {x.value:.2f}"
        for blocked, line in zip(edges, cells, strict=True)
        for window, x in zip(names, line, strict=True)
        if x
    ]
    name = f"flow-heat-{reading}"
    return Figure(
        name=name,
        svg=heat_map(
            name,
            [[x and x.value for x in line] for line in cells],
            list(map(_wrapped, edges)),
            names,
        ),
        alt=f"F1 by blocked edges and window of layers. {'; '.join(facts)}.",
        caption="F1 of the objects named, by blocked edges and window of layers (last position "
        f"{READING_NAMES[reading]}): “only” blocks in these layers, “but” in all others.",
    )


def _of(
    rows: Sequence[Record], measure: str, reading: str, edges: str, is_control: bool
) -> Interval | None:
    where = {"reading": reading, "edges": edges, "is_control": is_control, "layers": "all"}
    return interval(first(rows, **where), measure)


def _ends(row: Record) -> tuple[int, int]:
    return int(row["first_layer"] or 0), int(row["last_layer"] or 0)


def _window_name(kind: str, start: int, stop: int) -> str:
    word = "only" if kind == "slide" else "but"
    return f"{word} {start}" if start == stop else f"{word} {start}{TO}{stop}"


def _wrapped(edges: str) -> str:
    return edge_names(edges).replace(", ", ",\n")
