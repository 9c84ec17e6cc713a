"""Tables that show a summary of each run as it is."""

from __future__ import annotations

from collections.abc import Sequence

from ..report.blocks import Table, file_name
from ..report.tables import whole_table
from .runs import StudyRun


def extra_tables(
    runs: Sequence[StudyRun], section: str, extra: str, caption: str
) -> tuple[Table, ...]:
    """A further summary of each run that has it, as it is; `caption` follows the run's label."""
    return tuple(
        whole_table(
            file_name(section, run.label, extra.replace("_", "-")), f"{run.label}: {caption}", rows
        )
        for run in runs
        if (rows := run.extra(extra))
    )
