"""Tables that show a summary of each run unchanged."""

from __future__ import annotations

from collections.abc import Sequence

from ..report.blocks import Table, file_name
from ..report.tables import whole_table
from .runs import StudyRun


def extra_tables(
    runs: Sequence[StudyRun], section: str, extra: str, caption: str
) -> tuple[Table, ...]:
    """Returns the tables of a further summary of each run that has it, captioned by run."""
    return tuple(
        whole_table(
            file_name(section, run.label, extra.replace("_", "-")), f"{run.label}: {caption}", rows
        )
        for run in runs
        if (rows := run.extra(extra))
    )
