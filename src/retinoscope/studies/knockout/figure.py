"""Figures of the knockout study."""

from __future__ import annotations

from collections.abc import Sequence

from ...report.blocks import Figure, Interval, Record
from ...report.rows import band, first, interval, pick, values
from ...report.style import BLUE, BROWN, GREEN, GREY, INK, ORANGE, PURPLE, SKY, figure_style, svg_of
from ..token_sets import OBJECT, RING_1, RING_2, NamedSet
from .options import TARGET_LABELS

_LINES = {
    OBJECT: (SKY, "-", "^"),
    RING_1: (BLUE, "-", "o"),
    RING_2: (GREEN, "-", "s"),
    NamedSet("rest"): (ORANGE, "--", "D"),
    NamedSet("visual"): (INK, "--", "X"),
    NamedSet("last-row"): (BROWN, "-.", "v"),
    NamedSet("question"): (PURPLE, "-.", "P"),
    RING_1.control: (GREY, ":", "o"),
}

_MEASURES = {
    "accuracy": (
        "knockout",
        "relative accuracy",
        "Relative accuracy when attention from a source (colour and marker) to a target (panel) is "
        "blocked in a window of layers; 1.00 is no impact. Bars are 95% intervals.",
    ),
    "probability_change": (
        "knockout-probability",
        "change of probability",
        "The same blocks, measured by the mean change of the right answer's probability; 0 is no "
        "impact.",
    ),
}


def windows_figure(
    rows: Sequence[Record],
    targets: Sequence[str],
    windows: Sequence[str],
    measure: str = "accuracy",
) -> Figure:
    """One measure by the paper's windows; one panel a target."""
    from matplotlib.figure import Figure as Drawing

    name, label, caption = _MEASURES[measure]
    with figure_style(name):
        drawing = Drawing(figsize=(9.2, 3.6))
        panels = drawing.subplots(1, len(targets), sharey=True, squeeze=False)[0]
        for panel, target in zip(panels, targets, strict=True):
            sources = _sources(pick(rows, target=target))
            for k, source in enumerate(sources):
                points = [
                    (i, x)
                    for i, window in enumerate(windows)
                    if (x := _of(rows, measure, source, target, window))
                ]
                if not points:
                    continue
                # Side by side, so that bars of equal height stay readable.
                shift = (k - (len(sources) - 1) / 2) * 0.11
                _errors(
                    panel,
                    [(i + shift, x) for i, x in points],
                    *_LINES[source],
                    source.label,
                )
            panel.set_title(f"To the {TARGET_LABELS.get(target, target)}")
            panel.set_xticks(range(len(windows)), windows, rotation=35, ha="right")
            panel.tick_params(labelcolor=INK)
            panel.grid(axis="x", visible=False)
        _finish(drawing, panels, label, 1.0 if measure == "accuracy" else 0.0)
        svg = svg_of(drawing)
    facts = [
        f"object + 1 ring to {target}, {window}: {x.value:.2f}"
        for target in targets
        for window in windows
        if (x := _of(rows, measure, RING_1, target, window))
    ]
    return Figure(
        name=name,
        svg=svg,
        alt=f"{label.capitalize()} by blocked window. " + "; ".join(facts) + ".",
        caption=caption,
    )


def sliding_figure(rows: Sequence[Record], targets: Sequence[str]) -> Figure:
    """Relative accuracy against the first blocked layer of a sliding window."""
    from matplotlib.figure import Figure as Drawing

    width = min(int(w or 0) for w in values(rows, "width"))
    rows = pick(rows, width=width)
    with figure_style("knockout-sliding"):
        drawing = Drawing(figsize=(9.2, 3.3))
        panels = drawing.subplots(1, len(targets), sharey=True, squeeze=False)[0]
        for panel, target in zip(panels, targets, strict=True):
            for source in _sources(pick(rows, target=target)):
                points = sorted(
                    (
                        (int(row["first_layer"] or 0), x)
                        for row in pick(rows, target=target, **source.columns)
                        if (x := band(row, "accuracy"))
                    ),
                    key=lambda pair: pair[0],
                )
                if points:
                    _band(panel, points, *_LINES[source], source.label)
            panel.set_title(f"To the {TARGET_LABELS.get(target, target)}")
            panel.tick_params(labelcolor=INK)
            panel.xaxis.get_major_locator().set_params(integer=True)
        panels[0].set_xlabel("first blocked layer", loc="left")
        _finish(drawing, panels, "relative accuracy", 1.0)
        svg = svg_of(drawing)
    return Figure(
        name="knockout-sliding",
        svg=svg,
        alt=f"Relative accuracy against the first layer of a window of {width} layers. Numbers in "
        "the CSV file.",
        caption=f"The same with a window of {width} layers that slides through the decoder. Bands "
        "hold a whole curve at 95%.",
    )


def _of(
    rows: Sequence[Record], measure: str, source: NamedSet, target: str, window: str
) -> Interval | None:
    return interval(first(rows, **source.columns, target=target, window=window), measure)


def _sources(rows: Sequence[Record]) -> list[NamedSet]:
    found = {NamedSet.of(row) for row in rows}
    return [source for source in _LINES if source in found]


def _errors(
    panel,
    points: Sequence[tuple[float, Interval]],
    color: str,
    dash: str,
    mark: str,
    label: str,
) -> None:
    for at, x in points:
        panel.plot([at, at], [x.low, x.high], color=color, lw=1.4, alpha=0.75)
    panel.plot(
        [at for at, _ in points],
        [x.value for _, x in points],
        dash,
        marker=mark,
        color=color,
        lw=1.3,
        ms=4.5,
        label=label,
    )


def _band(
    panel,
    points: Sequence[tuple[int, Interval]],
    color: str,
    dash: str,
    mark: str,
    label: str,
) -> None:
    at = [layer for layer, _ in points]
    panel.fill_between(
        at, [x.low for _, x in points], [x.high for _, x in points], color=color, alpha=0.14, lw=0
    )
    panel.plot(at, [x.value for _, x in points], dash, marker=mark, color=color, label=label)


def _finish(drawing, panels, label: str, none: float) -> None:
    """Shared axis, a line at `none` (the value without impact), one legend below."""
    panels[0].set_ylabel(label)
    for panel in panels:
        panel.axhline(none, color=INK, lw=0.8)
    if none == 1.0:
        panels[0].set_ylim(-0.03, 1.06)
    handles = {
        text: handle
        for panel in panels
        for handle, text in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    drawing.tight_layout(w_pad=1.6)
    drawing.legend(handles.values(), handles, loc="upper left", bbox_to_anchor=(0.05, 0.0), ncols=4)
