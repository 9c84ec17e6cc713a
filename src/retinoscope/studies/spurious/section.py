"""The report's section on objects on other grounds."""

from __future__ import annotations

from collections.abc import Sequence

from ...report.blocks import (
    Record,
    Section,
    number_interval,
)
from ...report.findings import Finding, make_finding, paired_test
from ...report.rows import first, interval, pick
from ...report.tables import numbers, plain_number, table, text
from ..group.aggregation_section import PAPER_NOTE
from ..runs import StudyRun

NOUN = "objects on other backgrounds"
TABLE_NOTE = (
    "value: accuracy on matched and mismatched backgrounds, their gap, and the worst group, with "
    "95% intervals over images and seeds."
)

_CORRECT = {"kind": "the kind", "side": "a kind of the same side"}


def section(runs: Sequence[StudyRun]) -> Section:
    """Makes the section: objects on the ground they were trained with, and on the other."""
    main = runs[0]
    rows = main.summary
    sentences = [
        f"{row['objective']}, gap of a correct {row['group']} between backgrounds: "
        f"{number_interval(x)}."
        for row in pick(rows, measure="gap")
        if (x := interval(row, "value"))
    ]
    return Section(
        key="spurious",
        title="The object or the background",
        question=(
            "A model was trained where object and background match in 95 of 100 scenes. What does "
            "it name when the background is swapped?"
        ),
        sentences=tuple(sentences),
        tables=(
            table(
                "spurious",
                "Accuracy by background: mean over seeds, 95% intervals over images and seeds.",
                rows,
                (
                    text("objective"),
                    text("group", "correct is", _CORRECT),
                    text("measure"),
                    numbers("value"),
                    numbers("difference", "minus grounded-class"),
                    plain_number("paper"),
                ),
            ),
        ),
        notes=(
            "Matched is the background that the object goes with, mismatched the other; the same "
            "objects are shown on both, pixel for pixel. The worst group is the least accurate of "
            "the four groups of side and background.",
            PAPER_NOTE + " They are those for waterbirds (Waterbirds, zero-shot).",
        ),
        finding=spurious_finding(rows),
    )


def spurious_finding(rows: Sequence[Record]) -> Finding | None:
    """Whether the gap between an object's own ground and the other is smaller with the maximum."""
    gap = first(rows, objective="grounded-max", measure="gap", group="side")
    with_max, test = interval(gap, "value"), paired_test(gap, images="images", scale=1, sign=-1)
    if gap is None or with_max is None or test is None:
        return None
    other = first(rows, objective="grounded-class", measure="gap", group="side")
    with_class = interval(other, "value")
    return make_finding(
        "the maximum depends less on the background",
        "Gap in accuracy between an object's own background and the other: "
        f"{number_interval(with_max)} with the maximum"
        + (f", {number_interval(with_class)} with the class token" if with_class else "")
        + f", over images and {gap['seeds']} seeds",
        [test],
        figure=f"{with_max.value:.2f}",
        versus=f"against {with_class.value:.2f} with the class token" if with_class else "",
    )
