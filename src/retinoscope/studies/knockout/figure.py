"""Figures of the knockout study."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...report.blocks import Figure, Interval, Record
from ...report.charts import Axis, Level, Look, Panel, Points, Series, small_multiples, spread
from ...report.rows import band, first, interval, pick, values
from ...report.style import BLUE, BROWN, GREEN, GREY, INK, ORANGE, PURPLE, SKY
from ..token_sets import OBJECT, RING_1, RING_2, NamedSet
from .options import TARGET_LABELS

_LINES = {
    OBJECT: Look(SKY, "-", "^"),
    RING_1: Look(BLUE, "-", "o"),
    RING_2: Look(GREEN, "-", "s"),
    NamedSet("rest"): Look(ORANGE, "--", "D"),
    NamedSet("visual"): Look(INK, "--", "X"),
    NamedSet("last-row"): Look(BROWN, "-.", "v"),
    NamedSet("question"): Look(PURPLE, "-.", "P"),
    RING_1.control: Look(GREY, ":", "o"),
}
_MEASURES = {
    "accuracy": (
        "knockout",
        Axis("relative accuracy", (-0.03, 1.06)),
        1.0,
        "Relative accuracy when attention from a source (colour and marker) to a target (panel) is "
        "blocked in a window of layers; 1.00 is no impact. Bars are 95% intervals.",
    ),
    "probability_change": (
        "knockout-probability",
        Axis("change of probability"),
        0.0,
        "The same, measured by the mean change of the correct answer's probability; 0 is no "
        "impact.",
    ),
}


def windows_figure(
    rows: Sequence[Record],
    targets: Sequence[str],
    windows: Sequence[str],
    measure: str = "accuracy",
) -> Figure:
    """One measure by the paper's windows; one panel per target."""
    name, axis, none, caption = _MEASURES[measure]

    def points(source: NamedSet, target: str, number: int, of: int) -> Points:
        # Side by side, so that bars of equal height remain readable.
        shift = spread(number, of)
        measured = ((i, _of(rows, measure, source, target, w)) for i, w in enumerate(windows))
        return [(i + shift, x) for i, x in measured if x]

    facts = [
        f"object + 1 ring to {target}, {window}: {x.value:.2f}"
        for target in targets
        for window in windows
        if (x := _of(rows, measure, RING_1, target, window))
    ]
    return Figure(
        name=name,
        svg=small_multiples(
            name,
            _panels(rows, targets, points, none, bars=True),
            Axis(ticks=dict(enumerate(windows))),
            axis,
            size=(9.2, 3.6),
        ),
        alt=f"{axis.label.capitalize()} by blocked window. " + "; ".join(facts) + ".",
        caption=caption,
    )


def sliding_figure(rows: Sequence[Record], targets: Sequence[str]) -> Figure:
    """Relative accuracy against the first blocked layer of a sliding window."""
    width = min(int(w or 0) for w in values(rows, "width"))
    rows = pick(rows, width=width)

    def points(source: NamedSet, target: str, number: int, of: int) -> Points:
        measured = [
            (int(row["first_layer"] or 0), x)
            for row in pick(rows, target=target, **source.columns)
            if (x := band(row, "accuracy"))
        ]
        return sorted(measured, key=lambda pair: pair[0])

    return Figure(
        name="knockout-sliding",
        svg=small_multiples(
            "knockout-sliding",
            _panels(rows, targets, points, 1.0, bars=False),
            Axis("first blocked layer", whole=True),
            _MEASURES["accuracy"][1],
        ),
        alt=f"Relative accuracy against the first layer of a window of {width} layers. Numbers in "
        "the CSV file.",
        caption=f"The same with a window of {width} layers that slides through the decoder. "
        "Bands cover a whole curve with 95% confidence.",
    )


def _panels(
    rows: Sequence[Record],
    targets: Sequence[str],
    points: Callable[[NamedSet, str, int, int], Points],
    none: float,
    bars: bool,
) -> list[Panel]:
    """Returns one panel per target, with a line at the value of no impact."""
    panels = []
    for target in targets:
        known = {NamedSet.of(row) for row in pick(rows, target=target)}
        sources = [source for source in _LINES if source in known]
        series = [
            Series(source.label, points(source, target, k, len(sources)), _LINES[source], bars=bars)
            for k, source in enumerate(sources)
        ]
        title = f"To the {TARGET_LABELS.get(target, target)}"
        panels.append(Panel(series, title, [Level(none)]))
    return panels


def _of(
    rows: Sequence[Record], measure: str, source: NamedSet, target: str, window: str
) -> Interval | None:
    return interval(first(rows, **source.columns, target=target, window=window), measure)
