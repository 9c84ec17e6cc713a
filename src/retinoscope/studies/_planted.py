"""What a study's folder needs to be tried on the planted models, in its planted.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..store import Scalar
from ._study import Study

Measured = Mapping[str, float | None]
"""Measure -> its value from 0 to 1; None where it is undefined."""
Records = Sequence[Mapping[str, Scalar]]


def summary_of(study: Study[Any]) -> Records:
    """The records of a study that is run for nothing else."""
    with TemporaryDirectory() as folder:
        return study.run(Path(folder) / "run").summary().to_pylist()


def largest(rows: Records, column: str, **where: Scalar) -> float | None:
    """The largest value of a column in the rows that have these values; None without any."""
    values = (
        float(value)
        for row in rows
        if all(row[name] == wanted for name, wanted in where.items())
        and (value := row[column]) is not None
    )
    return max(values, default=None)
