"""Figures of the information-flow study."""

from __future__ import annotations

from collections.abc import Sequence

from ...report.blocks import TO, Figure, Interval, Record
from ...report.rows import band, first, interval, pick
from ...report.style import BLUE, GREY, INK, MARKERS, ORANGE, PAPER, SERIES, figure_style, svg_of
from .names import READING_NAMES, WHOLE, edge_names, edges_in

_MEASURES = {
    "description": ("f1", "F1 of the objects named", 1.0),
    "question": ("probability_change", "change of the right answer's probability", 0.0),
}
_READINGS = {"query": (BLUE, "o"), "generated": (ORANGE, "s")}
_DASHES = ("-", "--", "-.", ":", "-", "--")
_KINDS = {"slide": "blocked only in the window", "keep": "blocked but in the window"}


def edges_figure(rows: Sequence[Record], task: str, readings: Sequence[str]) -> Figure:
    """One line per set of edges, blocked in all layers; both readings, each with its control."""
    from matplotlib.figure import Figure as Drawing

    measure, label, none = _MEASURES[task]
    name = f"flow-edges-{task}"
    edges = edges_in(rows)
    facts: list[str] = []
    with figure_style(name):
        drawing = Drawing(figsize=(9.2, 1.0 + 0.52 * len(edges)))
        panel = drawing.subplots()
        for k, reading in enumerate(readings):
            color, mark = _READINGS[reading]
            for is_control, tone, shape, text in (
                (False, color, mark, f"last position {READING_NAMES[reading]}"),
                (True, GREY, "x", "as many random edges"),
            ):
                shift = (k - (len(readings) - 1) / 2) * 0.3 + 0.1 * is_control
                found = [
                    (i + shift, x)
                    for i, one in enumerate(edges)
                    if (x := _of(rows, measure, reading, one, is_control))
                ]
                for at, x in found:
                    panel.plot([x.low, x.high], [at, at], color=tone, lw=1.4, alpha=0.75)
                panel.plot(
                    [x.value for _, x in found],
                    [at for at, _ in found],
                    shape,
                    color=tone,
                    ls="",
                    label=text if not is_control or not k else None,
                )
                if not is_control:
                    facts += [
                        f"{edge_names(edges[round(at - shift)])} ({READING_NAMES[reading]}): "
                        f"{x.value:.2f}"
                        for at, x in found
                    ]
        panel.axvline(none, color=INK, lw=0.8)
        panel.set_yticks(range(len(edges)), [_wrapped(one) for one in edges])
        panel.tick_params(labelcolor=INK)
        panel.invert_yaxis()
        panel.set_xlabel(label, loc="left")
        drawing.tight_layout()
        drawing.legend(loc="upper left", bbox_to_anchor=(0.05, 0.0), ncols=3)
        svg = svg_of(drawing)
    return Figure(
        name=name,
        svg=svg,
        alt=f"{label} by blocked edges. " + "; ".join(facts) + ".",
        caption=f"{label[0].upper()}{label[1:]} when edges are blocked in all layers, while the "
        "prompt is read and while the model writes. The line is no impact; bars are 95% intervals.",
    )


def windows_figure(rows: Sequence[Record], reading: str) -> Figure | None:
    """F1 against the first layer of the window that is blocked, and of the one that is kept."""
    from matplotlib.figure import Figure as Drawing

    rows = pick(rows, is_control=False)
    kinds = [kind for kind in _KINDS if pick(rows, layers=kind)]
    if not kinds:
        return None
    name = f"flow-windows-{reading}"
    lines = [one for one in edges_in(rows) if "," not in one or one == WHOLE][: len(SERIES)]
    with figure_style(name):
        drawing = Drawing(figsize=(9.2, 3.4))
        panels = drawing.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
        for panel, kind in zip(panels, kinds, strict=True):
            for color, mark, dash, edges in zip(SERIES, MARKERS, _DASHES, lines, strict=False):
                points = sorted(
                    (int(row["first_layer"] or 0), x.value, x.low, x.high)
                    for row in pick(rows, edges=edges, layers=kind)
                    if (x := band(row, "f1"))
                )
                if not points:
                    continue
                at, middle, low, high = zip(*points, strict=True)
                panel.fill_between(at, low, high, color=color, alpha=0.12, lw=0)
                panel.plot(at, middle, dash, marker=mark, color=color, label=edge_names(edges))
            panel.set_title(_KINDS[kind])
            panel.set_ylim(-0.03, 1.06)
            panel.axhline(1.0, color=INK, lw=0.8)
            panel.tick_params(labelcolor=INK)
            panel.xaxis.get_major_locator().set_params(integer=True)
        panels[0].set_ylabel("F1 of the objects named")
        panels[0].set_xlabel("first layer of the window", loc="left")
        drawing.tight_layout(w_pad=1.6)
        handles, labels = panels[0].get_legend_handles_labels()
        drawing.legend(handles, labels, loc="upper left", bbox_to_anchor=(0.05, 0.0), ncols=2)
        svg = svg_of(drawing)
    return Figure(
        name=name,
        svg=svg,
        alt=f"F1 by window of layers, last position {READING_NAMES[reading]}. Numbers in the CSV "
        "file.",
        caption=f"The same by window of layers (last position {READING_NAMES[reading]}). Left, "
        "where it matters; right, which layers are enough. Bands hold a whole curve at 95%."
        if len(kinds) > 1
        else f"The same by window of layers (last position {READING_NAMES[reading]}).",
    )


def layers_figure(rows: Sequence[Record], reading: str) -> Figure | None:
    """A heat map: edges by window of layers."""
    from matplotlib.figure import Figure as Drawing

    rows = pick(rows, is_control=False)
    windows = [
        (kind, *ends)
        for kind in _KINDS
        for ends in sorted({_ends(row) for row in pick(rows, layers=kind)})
    ]
    if not windows:
        return None
    edges = edges_in(rows)
    name = f"flow-heat-{reading}"
    values = [
        [
            first(rows, edges=one, layers=kind, first_layer=start, last_layer=stop)
            for kind, start, stop in windows
        ]
        for one in edges
    ]
    cells = [[interval(row, "f1") for row in line] for line in values]
    shown = [[float("nan") if x is None else x.value for x in line] for line in cells]
    with figure_style(name):
        drawing = Drawing(figsize=(9.2, 1.2 + 0.42 * len(edges)))
        panel = drawing.subplots()
        # A mesh and no image: the figure stays a vector drawing.
        panel.pcolormesh(shown, cmap="cividis", vmin=0, vmax=1, edgecolor=PAPER, linewidth=0.8)
        _write_values(panel, shown)
        panel.set_xticks(
            [j + 0.5 for j in range(len(windows))],
            [_window_name(*window) for window in windows],
            rotation=35,
            ha="right",
        )
        panel.set_yticks([i + 0.5 for i in range(len(edges))], [_wrapped(one) for one in edges])
        panel.tick_params(labelcolor=INK)
        panel.grid(visible=False)
        panel.invert_yaxis()
        svg = svg_of(drawing)
    facts = [
        f"{edge_names(one)}, {_window_name(*window)}: {value:.2f}"
        for one, line in zip(edges, shown, strict=True)
        for window, value in zip(windows, line, strict=True)
        if value == value
    ]
    return Figure(
        name=name,
        svg=svg,
        alt=f"F1 by blocked edges and window of layers. {'; '.join(facts)}.",
        caption="F1 of the objects named, by blocked edges and window of layers (last position "
        f"{READING_NAMES[reading]}): “only” blocks in these layers, “but” in all others.",
    )


def _write_values(panel, values: Sequence[Sequence[float]]) -> None:
    """Each cell's number in it, in the ink that stands out from its colour."""
    for i, line in enumerate(values):
        for j, value in enumerate(line):
            if value == value:
                tone = "#ffffff" if value < 0.55 else "#101010"
                centre = {"ha": "center", "va": "center"}
                panel.text(j + 0.5, i + 0.5, f"{value:.2f}", color=tone, size=8.5, **centre)


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
