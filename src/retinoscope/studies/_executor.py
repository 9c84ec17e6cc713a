"""Where a study's units are evaluated: here one after the other, or by workers elsewhere."""

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
"""What is evaluated and written as a whole: a sample, by its number, or what a study calls one."""

Progress = Callable[[int, int, str], None]
"""Called with units done, units in all, and what was just done."""

Tell = Callable[[str], None]
"""Called with what is being done while no unit is finished."""


@dataclass(frozen=True)
class Example:
    """One picture for the report: JSON facts and the image they are about."""

    facts: dict[str, Json]
    image: Image.Image


@dataclass(frozen=True)
class Outcome:
    """What became of one unit.

    Attributes:
        label: the sample's id, "sample 7" where it could not be read, or another unit's name.
        rows: in full; of a unit that failed one row with its error.
        examples: pictures of it.
        error: why it failed as a whole; None where it did not.
        arrays: by the name of the file that keeps them.
    """

    label: str
    rows: Rows
    examples: list[Example]
    error: str | None = None
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


class Evaluating(Protocol):
    """What an executor needs of a study; see `Study`."""

    def measure(self, readable: Readable) -> Any: ...
    def context(self, readable: Readable, measured: Any) -> Any: ...
    def outcomes(
        self, context: Any, expected: Mapping[Unit, str | None], tell: Tell
    ) -> Generator[tuple[Unit, Outcome], None, None]: ...


class Executor(Protocol):
    """Evaluates units; the study's own process keys, counts and writes what comes back."""

    def outcomes(
        self,
        study: Any,
        readable: Readable,
        expected: Mapping[Unit, str | None],
        tell: Tell,
    ) -> Generator[tuple[Unit, Outcome], None, None]:
        """The outcome of each unit in `expected`, in any order.

        Args:
            study: a `Study`.
            readable: the samples that can be read.
            expected: by unit, the fingerprint that a sample must still have; None where it has
                just been taken, and for other units.

        Raises:
            StudyError: a sample is no longer the same, or the work cannot go on.
        """
        ...


class Serial:
    """All units in this process."""

    def outcomes(
        self,
        study: Evaluating,
        readable: Readable,
        expected: Mapping[Unit, str | None],
        tell: Tell,
    ) -> Generator[tuple[Unit, Outcome], None, None]:
        """See `Executor`."""
        context = study.context(readable, study.measure(readable))
        yield from study.outcomes(context, expected, tell)
