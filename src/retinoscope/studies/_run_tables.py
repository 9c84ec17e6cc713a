"""Tables that show a summary as it is."""

from __future__ import annotations

from collections.abc import Sequence

from ..report.blocks import Column, Record, Table, file_name
from .runs import StudyRun


def generic_table(name: str, caption: str, rows: Sequence[Record], folded: bool = True) -> Table:
    """A summary as it is, every column shown."""
    keys = [str(key) for key in rows[0]] if rows else []
    shown = tuple(tuple(_text(row.get(key)) for key in keys) for row in rows)
    columns = tuple(
        Column(key.replace("_", " "), numeric=not any(isinstance(r.get(key), str) for r in rows))
        for key in keys
    )
    return Table(name, caption, columns, shown, tuple(rows), folded)


def extra_tables(
    runs: Sequence[StudyRun], section: str, extra: str, caption: str
) -> tuple[Table, ...]:
    """A further summary of each run that has it, as it is; `caption` follows the run's label."""
    return tuple(
        generic_table(
            file_name(section, run.label, extra.replace("_", "-")), f"{run.label}: {caption}", rows
        )
        for run in runs
        if (rows := run.extra(extra))
    )


def _text(value: object) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".") or "0"
    return str(value)
