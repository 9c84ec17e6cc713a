"""Figures of the comparison."""

from __future__ import annotations

from collections.abc import Sequence

from ...report.blocks import Figure
from ...report.charts import (
    SHARE,
    Axis,
    Level,
    Look,
    Panel,
    Points,
    Series,
    look_of,
    small_multiples,
    spread,
)
from ...report.rows import first, interval
from ...report.style import BLUE, GREY, INK, ORANGE
from ..runs import StudyRun
from .findings import EXPERIMENTS, Experiment, interfaces_of, record_of
from .options import LOWER, MEASURES
from .tables import measures_of

_LOOKS = {
    "changed": Look(BLUE, "", "o"),
    "declared": Look(ORANGE, "", "s"),
    "random": Look(GREY, "", "|"),
}
_LABELS = {
    "changed": "tokens that really change",
    "declared": "tokens declared the object's",
    "random": "as many random tokens",
}


def questions_figure(run: StudyRun) -> Figure:
    """Right answers of every interface by kind of question."""
    names = interfaces_of(run)
    right = [measure for measure in measures_of(run) if measure not in LOWER]
    wrong = [measure for measure in measures_of(run) if measure in LOWER]
    order = [*right, *wrong]

    def points(name: str, number: int) -> Points:
        found = (
            (place, interval(first(run.summary, interface=name, measure=measure), "share"))
            for place, measure in enumerate(order)
        )
        shift = spread(number, len(names), 0.75 / max(len(names), 1))
        return [(place + shift, x) for place, x in found if x is not None]

    series = []
    for number, name in enumerate(names):
        color, _, mark, hollow = look_of(number)
        series.append(Series(name, points(name, number), Look(color, "", mark, hollow), bars=True))
    labels = [MEASURES.get(m, m) + (" (wrong)" if m in LOWER else "") for m in order]
    facts = "; ".join(
        f"{label}: "
        + ", ".join(
            f"{name} {x.value:.0%}"
            for name in names
            if (x := interval(first(run.summary, interface=name, measure=measure), "share"))
        )
        for label, measure in zip(labels, order, strict=True)
    )
    return Figure(
        name="interfaces-questions",
        svg=small_multiples(
            "interfaces-questions",
            [Panel(series)],
            Axis("share of answers", SHARE, share=True),
            Axis(limits=(len(order) - 0.5, -0.5), ticks=dict(enumerate(labels))),
            size=(9.2, 1.0 + 0.17 * len(order) * max(2, len(names))),
            sideways=True,
            legend=5,
        ),
        alt=f"Share of right answers by kind of question and interface. {facts}.",
        caption="Right answers by kind of question, with 95% intervals over scenes. Yes on an "
        "absent kind is wrong: there, low is good.",
    )


def experiments_figure(run: StudyRun) -> Figure | None:
    """The audit, and the three experiments at tokens by each rule; None if nothing was measured."""
    names = interfaces_of(run)
    panels = [_audit_panel(run, names)] + [_panel(run, names, what) for what in EXPERIMENTS]
    if not any(series.points for panel in panels for series in panel.series):
        return None
    facts = "; ".join(
        f"{what.title}: "
        + ", ".join(
            f"{name} {x.value:.0%}"
            for name in names
            if (x := interval(record_of(run, what, name, "changed"), what.value))
        )
        for what in EXPERIMENTS
    )
    return Figure(
        name="interfaces-experiments",
        svg=small_multiples(
            "interfaces-experiments",
            panels,
            Axis(limits=SHARE, share=True),
            Axis(limits=(len(names) - 0.5, -0.5), ticks=dict(enumerate(names))),
            columns=2,
            size=(9.2, 1.3 + 0.42 * len(names)),
            sideways=True,
        ),
        alt=f"The audit and the paper's experiments by interface. {facts}.",
        caption="Above left, how well the declared origin of tokens tells those that an object "
        "really changes (AUC, 50% by chance). Then the paper's experiments on the tokens of an "
        "object, by how they were chosen: by the audit, by what is declared, at random. 95% "
        "intervals over scenes.",
    )


def _audit_panel(run: StudyRun, names: Sequence[str]) -> Panel:
    found = (
        (place, interval(first(run.extra("audit"), interface=name), "auc"))
        for place, name in enumerate(names)
    )
    points: Points = [(float(place), x) for place, x in found if x is not None]
    return Panel(
        [Series("", points, Look(INK, "", "D"), bars=True)],
        "AUC of what is declared",
        [Level(0.5, dash=":")],
    )


def _panel(run: StudyRun, names: Sequence[str], what: Experiment) -> Panel:
    series = []
    for number, (source, look) in enumerate(_LOOKS.items()):
        points: list = []
        for place, name in enumerate(names):
            if source == "random" and what.control is not None:
                x = interval(record_of(run, what, name, "changed"), what.control)
            else:
                x = interval(record_of(run, what, name, source), what.value)
            if x is not None:
                points.append((place + spread(number, len(_LOOKS), 0.2), x))
        series.append(Series(_LABELS[source], points, look, bars=True))
    return Panel(series, what.title[0].upper() + what.title[1:])
