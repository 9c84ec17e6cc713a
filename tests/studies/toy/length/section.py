"""What the report says of it."""

from __future__ import annotations

from collections.abc import Sequence

from retinoscope.report.blocks import Section
from retinoscope.report.tables import whole_table
from retinoscope.studies.runs import StudyRun

NOUN = "length of descriptions"
TABLE_NOTE = "n_words: mean number of words of a description."


def section(runs: Sequence[StudyRun]) -> Section:
    return Section(
        key="length",
        title="Length of descriptions",
        question="Does a description get shorter without an object?",
        tables=tuple(whole_table("length", run.label, run.summary, folded=False) for run in runs),
    )
