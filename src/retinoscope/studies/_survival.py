"""How many samples of a study may fail."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

from .. import arguments
from ..errors import StudyError
from ..store import RunDirectory

FROM_SAMPLES = 20
"""Minimum number of finished samples for a meaningful share."""


@dataclass
class Failures:
    """Counts samples that failed as a whole, over all sessions of a run.

    Attributes:
        most: the largest share of the finished samples that may fail.
        finished: number of finished samples.
        keys: keys of the failed ones.
        first: error of one of them.
    """

    most: float
    finished: int = 0
    keys: list[str] = field(default_factory=list)
    first: str | None = None

    def __post_init__(self) -> None:
        arguments.number(self.most, "max_failures as a share", 0, 1)

    def read(self, directory: RunDirectory, keys: set[str]) -> None:
        """Counts what earlier sessions finished; `keys` are all samples of the run."""
        self.finished = len(keys & directory.done())
        for table in directory.scan(["sample_key", "error", "item"]):
            for row in failed_rows(table).to_pylist():
                self.keys.append(row["sample_key"])
                self.first = self.first or row["error"]

    def add(self, key: str, error: str | None) -> None:
        """Counts one more sample.

        Raises:
            StudyError: too many have failed.
        """
        self.finished += 1
        if error is not None:
            self.keys.append(key)
            self.first = self.first or error
        self.check()

    def check(self) -> None:
        """Raises `StudyError` if too many have failed."""
        if self.finished < FROM_SAMPLES or len(self.keys) <= self.most * self.finished:
            return
        raise StudyError(
            f"{len(self.keys)} of the first {self.finished} samples failed, which is more than "
            f"max_failures ({self.most:g}) allows; one error: {self.first}; what is finished is "
            "kept: fix the cause and try the failed ones again (retry_failed), or allow more"
        )


def failed_rows(table: pa.Table) -> pa.Table:
    """Returns the rows of samples that failed as a whole: errors that are not about an item."""
    if "error" not in table.column_names:
        return table.slice(0, 0)
    failed = table.filter(table["error"].is_valid())
    return failed.filter(failed["item"].is_null()) if "item" in table.column_names else failed
