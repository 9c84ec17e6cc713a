"""Where a study's units are evaluated: one after the other in this process, or by workers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..store import Json, Scalar

if TYPE_CHECKING:
    from PIL import Image

    from ._readable import Readable

Rows = list[dict[str, Scalar]]

Unit = int | tuple[str | int, ...]
"""A part of a study that is evaluated and written as a whole: a sample's index, or another key."""

Progress = Callable[[int, int, str], None]
"""Called with the number of units done, their total, and the name of the last one."""

Tell = Callable[[str], None]
"""Called with what is being done while no unit is finished."""


@dataclass(frozen=True)
class Example:
    """One picture for the report: JSON facts and the image they are about."""

    facts: dict[str, Json]
    image: Image.Image


@dataclass(frozen=True)
class Outcome:
    """The result of one unit.

    Attributes:
        label: the sample's id, "sample 7" if it could not be read, or another unit's name.
        rows: rows with all columns; if the unit failed, one row with its error.
        examples: pictures of it.
        error: why it failed as a whole; None if it did not.
        arrays: arrays by the name of their file.
    """

    label: str
    rows: Rows
    examples: list[Example]
    error: str | None = None
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


class Evaluating(Protocol):
    """The methods of a study that an executor needs; see `Study`."""

    def measure(self, readable: Readable, tell: Tell) -> Any: ...
    def context(self, readable: Readable, measured: Any) -> Any: ...
    def outcomes(
        self, context: Any, expected: Mapping[Unit, str | None], tell: Tell
    ) -> Generator[tuple[Unit, Outcome], None, None]: ...


class Executor(Protocol):
    """Evaluates units; the study's own process keys, counts and writes the outcomes."""

    def outcomes(
        self,
        study: Any,
        readable: Readable,
        expected: Mapping[Unit, str | None],
        tell: Tell,
    ) -> Generator[tuple[Unit, Outcome], None, None]:
        """Yields the outcome of each unit in `expected`, in any order.

        Args:
            study: a `Study`.
            readable: the samples that can be read.
            expected: by unit, the fingerprint that a sample must still have; None if it has just
                been taken, and for other units.
            tell: called with what is being done.

        Raises:
            StudyError: a sample has changed, or the work cannot continue.
        """
        ...


class Serial:
    """Evaluates all units in this process."""

    def outcomes(
        self,
        study: Evaluating,
        readable: Readable,
        expected: Mapping[Unit, str | None],
        tell: Tell,
    ) -> Generator[tuple[Unit, Outcome], None, None]:
        """See `Executor`."""
        context = study.context(readable, study.measure(readable, tell))
        yield from study.outcomes(context, expected, tell)
