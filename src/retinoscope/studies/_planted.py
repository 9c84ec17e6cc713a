"""Helpers for checking studies on the planted models, in their planted.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..store import Scalar
from ._study import Study

Measured = Mapping[str, float | None]
"""Measure -> its value from 0 to 1; None if it is undefined."""
Records = Sequence[Mapping[str, Scalar]]


def summary_of(study: Study[Any]) -> Records:
    """Runs a study in a temporary folder and returns its summary."""
    with TemporaryDirectory() as folder:
        return study.run(Path(folder) / "run").summary().to_pylist()


def largest(rows: Records, column: str, **where: Scalar) -> float | None:
    """Returns the largest value of a column in the rows with these values; None without any."""
    values = (
        float(value)
        for row in rows
        if all(row[name] == wanted for name, wanted in where.items())
        and (value := row[column]) is not None
    )
    return max(values, default=None)
