"""Charts: small multiples of curves with bands or of points with bars, and heat maps.

A study says what is drawn (`Panel`, `Series`, `Level`, `Axis`); how it looks is decided here alone.
Each function returns an SVG document for `blocks.Figure`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from .blocks import Interval
from .style import INK, MARKERS, MUTED, PAPER, SERIES, figure_style, svg_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Points = Sequence[tuple[float, Interval]]
"""A place along the axis, and the estimate there."""
_MOST_TICKS = 16
_MOST_NUMBERS = 12
"""Columns of a heat map up to which each cell says its value."""


class Look(NamedTuple):
    """How a series is drawn; no two of a figure differ by colour alone.

    Attributes:
        dash: Matplotlib's line style; empty for points that no line joins.
        mark: Matplotlib's marker; empty for none.
        hollow: marks are not filled.
    """

    color: str
    dash: str = "-"
    mark: str = "o"
    hollow: bool = False


def look_of(number: int) -> Look:
    """The look of series `number`, 0 to 11, where no series has one of its own."""
    k = number % len(SERIES)
    return Look(SERIES[k], "-" if number < len(SERIES) else "--", MARKERS[k])


@dataclass(frozen=True)
class Series:
    """What has one entry in the legend.

    Attributes:
        label: its entry; empty for none.
        bars: intervals are bars at each point, in place of a band.
        along: intervals along the axis of places, drawn as further bars; for no points or for all.
    """

    label: str
    points: Points
    look: Look
    bars: bool = False
    along: Sequence[Interval] = ()


@dataclass(frozen=True)
class Level:
    """A line across the whole panel at one value, with its interval as a band."""

    value: float
    label: str = ""
    color: str = INK
    dash: str = "-"
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Axis:
    """One axis of all panels.

    Attributes:
        limits: its ends; None leaves one to the data.
        ticks: where they stand, or their texts by place; by default Matplotlib's.
        share: values are shares, written as percentages.
        whole: ticks stand at whole numbers only.
    """

    label: str = ""
    limits: tuple[float | None, float | None] = (None, None)
    ticks: Sequence[float] | Mapping[float, str] = ()
    share: bool = False
    whole: bool = False
    log: bool = False


SHARE = (-0.03, 1.03)
"""Limits of an axis from 0% to 100%, with room for marks."""


@dataclass(frozen=True)
class Panel:
    """One of the small multiples.

    Attributes:
        levels: lines across the panel.
        note: a line in small type below the title.
        ticks: tick labels by place, if they differ from the other panels'.
        texts: labels of points, by place and value.
    """

    series: Sequence[Series]
    title: str = ""
    levels: Sequence[Level] = ()
    note: str = ""
    ticks: Mapping[float, str] = field(default_factory=dict)
    texts: Mapping[tuple[float, float], str] = field(default_factory=dict)


def small_multiples(
    name: str,
    panels: Sequence[Panel | None],
    x: Axis,
    y: Axis,
    *,
    columns: int | None = None,
    size: tuple[float, float] = (9.2, 3.3),
    sideways: bool = False,
    same: bool = True,
    legend: int = 4,
) -> str:
    """Panels that share their axes, in rows of `columns` (all in one row by default).

    Args:
        name: of the figure; the same name and data give the same bytes.
        panels: from left to right, then down; None leaves a gap.
        size: width of the figure and height of one row, in inches.
        sideways: estimates lie along x, and places along y, the first one at the top.
        same: one scale of y for all panels.
        legend: columns of the legend below.
    """
    from matplotlib.figure import Figure as Drawing

    columns = columns or len(panels)
    rows = -(-len(panels) // columns)
    with figure_style(name):
        drawing = Drawing(figsize=(size[0], size[1] * rows))
        grid = drawing.subplots(rows, columns, sharey=same, squeeze=False)
        for axes, panel in zip(
            grid.flat, [*panels, *[None] * (grid.size - len(panels))], strict=True
        ):
            if panel is None:
                axes.set_visible(False)
                continue
            _fill(axes, panel, sideways)
            _shape(axes, "x", replace(x, ticks=panel.ticks) if panel.ticks else x)
            _shape(axes, "y", y)
            if sideways:
                axes.grid(visible=False, axis="y")
        for axes in grid[:, 0]:
            axes.set_ylabel(y.label)
        grid[-1, 0].set_xlabel(x.label, loc="left")
        if sideways and not grid[0, 0].yaxis_inverted():
            grid[0, 0].invert_yaxis()
        drawing.tight_layout(w_pad=1.6, h_pad=1.8)
        entries = {
            text: handle
            for axes in grid.flat
            for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        if entries:
            place = {"loc": "upper left", "bbox_to_anchor": (0.05, 0.0)}
            drawing.legend(entries.values(), entries, ncols=legend, **place)
        return svg_of(drawing)


def heat_map(
    name: str,
    cells: Sequence[Sequence[float | None]],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    label: str = "",
    x: str = "",
    y: str = "",
    width: float = 9.2,
    down: bool = True,
) -> str:
    """Shares from 0 to 1 as colours; undefined ones stay empty.

    Args:
        cells: by row and column.
        label: of the colour bar; without one the colours are explained by the numbers in the cells.
        down: the first row is the uppermost.
    """
    from matplotlib.figure import Figure as Drawing

    shown = [[float("nan") if value is None else value for value in line] for line in cells]
    with figure_style(name):
        height = max(2.4, min(7.0, 1.2 + (0.42 if len(rows) <= _MOST_TICKS else 0.22) * len(rows)))
        drawing = Drawing(figsize=(width, height))
        axes = drawing.subplots()
        # A mesh and no image: the figure stays a vector drawing.
        mesh = axes.pcolormesh(
            shown, cmap="cividis", vmin=0, vmax=1, edgecolor=PAPER, linewidth=0.5
        )
        if len(columns) <= _MOST_NUMBERS:
            for i, line in enumerate(shown):
                for j, value in enumerate(line):
                    if value == value:
                        color = "#ffffff" if value < 0.55 else "#101010"
                        place = {"ha": "center", "va": "center", "size": 8.5}
                        axes.text(j + 0.5, i + 0.5, f"{value:.2f}", color=color, **place)
        for axis, names in ((axes.xaxis, columns), (axes.yaxis, rows)):
            step = max(1, len(names) // _MOST_TICKS)
            axis.set_ticks([k + 0.5 for k in range(0, len(names), step)], names[::step])
        if max(map(len, columns)) > 3:
            axes.tick_params(axis="x", labelrotation=35)
        axes.tick_params(labelcolor=INK)
        axes.grid(visible=False)
        axes.set_xlabel(x, loc="left")
        axes.set_ylabel(y)
        if down:
            axes.invert_yaxis()
        if label:
            bar = drawing.colorbar(mesh, ax=axes, label=label)
            if bar.solids is not None:
                bar.solids.set_rasterized(False)
        return svg_of(drawing)


def spread(number: int, of: int, step: float = 0.11) -> float:
    """How far the points of series `number` stand beside their place, so that bars stay apart."""
    return (number - (of - 1) / 2) * step


def _fill(axes: Axes, panel: Panel, sideways: bool) -> None:
    for one in panel.series:
        if one.points:
            _draw(axes, one, sideways)
    for level in panel.levels:
        line, span = (axes.axvline, axes.axvspan) if sideways else (axes.axhline, axes.axhspan)
        if level.interval is not None:
            span(*level.interval, color=level.color, alpha=0.1, lw=0)
        weight = 1.6 if level.label else 0.8
        line(level.value, color=level.color, ls=level.dash, lw=weight, label=level.label or None)
    for place, text in panel.texts.items():
        offset = {"textcoords": "offset points", "xytext": (6, 5)}
        axes.annotate(text, place, fontsize=8.5, color=MUTED, **offset)
    axes.set_title(panel.title, pad=22 if panel.note else 10)
    if panel.note:
        axes.text(0, 1.03, panel.note, transform=axes.transAxes, color=MUTED, size=8.6)
    axes.tick_params(labelcolor=INK)


def _draw(axes: Axes, series: Series, sideways: bool) -> None:
    look = series.look
    places = [place for place, _ in series.points]
    low, value, high = zip(*((x.low, x.value, x.high) for _, x in series.points), strict=True)
    if series.bars:
        for place, *ends in zip(places, low, high, strict=True):
            at = [place, place]
            line = (ends, at) if sideways else (at, ends)
            axes.plot(*line, color=look.color, lw=1.8, alpha=0.75)
        for x, middle in zip(series.along, value, strict=False):
            axes.plot([x.low, x.high], [middle, middle], color=look.color, lw=1.8, alpha=0.75)
    elif not sideways:
        # Bands of shares of 0 would all lie on each other.
        seen = [middle != 0 for middle in value]
        axes.fill_between(places, low, high, where=seen, color=look.color, alpha=0.14, lw=0)
    more: dict[str, Any] = {"mfc": PAPER, "mew": 1.6} if look.hollow else {}
    more |= {"ms": 11, "mew": 2} if look.mark == "|" else {}
    axes.plot(
        *((value, places) if sideways else (places, value)),
        color=look.color,
        ls=look.dash or "none",
        marker=look.mark or None,
        markevery=1 if series.bars else max(1, len(places) // 9),
        label=series.label or None,
        **more,
    )


def _shape(axes: Axes, which: str, axis: Axis) -> None:
    from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter, ScalarFormatter

    drawn = axes.xaxis if which == "x" else axes.yaxis
    if axis.log:
        getattr(axes, f"set_{which}scale")("log")
        drawn.set_minor_locator(NullLocator())
        drawn.set_major_formatter(ScalarFormatter())
    if axis.whole:
        drawn.set_major_locator(MaxNLocator(integer=True))
    if isinstance(axis.ticks, Mapping):
        turned = which == "x" and max((len(text) for text in axis.ticks.values()), default=0) > 6
        drawn.set_ticks([*axis.ticks], [*axis.ticks.values()])
        if turned:
            axes.tick_params(axis="x", labelrotation=35)
            for text in axes.get_xticklabels():
                text.set_horizontalalignment("right")
    elif axis.ticks:
        drawn.set_ticks([*axis.ticks])
    if axis.share:
        drawn.set_major_formatter(PercentFormatter(1.0, decimals=0))
    low, high = axis.limits
    getattr(axes, f"set_{which}lim")(low, high)
