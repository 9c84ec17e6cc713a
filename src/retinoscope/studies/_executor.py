"""Where a study's samples are evaluated: here one after the other, or by workers elsewhere."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..store import Json
from ._tables import Cell

if TYPE_CHECKING:
    from PIL import Image

    from ._readable import Readable
    from ._study import Study

Rows = list[dict[str, Cell]]


@dataclass(frozen=True)
class Example:
    """One picture for the report: JSON facts and the image they are about."""

    facts: dict[str, Json]
    image: Image.Image


@dataclass(frozen=True)
class Outcome:
    """What became of one sample.

    Attributes:
        label: the sample's id, or "sample 7" where it could not be read.
        rows: in full; of a sample that failed one row with its error.
        examples: pictures of it.
        error: why the sample failed as a whole; None where it did not.
    """

    label: str
    rows: Rows
    examples: list[Example]
    error: str | None = None


class Executor(Protocol):
    """Evaluates samples; the study's own process keys, counts and writes what comes back."""

    def outcomes(
        self, study: Study[Any], readable: Readable, expected: Mapping[int, str | None]
    ) -> Generator[tuple[int, Outcome], None, None]:
        """The outcome of each sample in `expected`, in any order.

        Args:
            readable: the samples that can be read.
            expected: by the sample's number, the fingerprint that it must still have, or None
                where it has just been taken.

        Raises:
            StudyError: a sample is no longer the same, or the work cannot go on.
        """
        ...


class Serial:
    """One sample after the other, in this process."""

    def outcomes(
        self, study: Study[Any], readable: Readable, expected: Mapping[int, str | None]
    ) -> Generator[tuple[int, Outcome], None, None]:
        """See `Executor`."""
        context = study.context(readable, study.measure(readable))
        for index, fingerprint in expected.items():
            yield index, study.evaluate(context, index, fingerprint)
