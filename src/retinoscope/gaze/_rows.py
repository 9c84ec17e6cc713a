"""Rows of gaze tables, parsed and checked by pydantic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, TypeAdapter

from ..data import Granularity, Segment
from ..data.cells import Number, Whole, as_number, as_text, empty_as_none
from ..data.schema import STRICT, Coordinate, FileName, Length, entry
from ..data.tabular import read_rows
from ..errors import InputError
from ._pictures import image_named
from ._segments import segment_of
from ._text import in_order

_Filled = Annotated[str, BeforeValidator(as_text)]
_Text = Annotated[str | None, BeforeValidator(as_text)]
_Position = Annotated[Coordinate, BeforeValidator(as_number)]
_Seconds = Annotated[Length | None, BeforeValidator(as_number)]


class _PartRow(BaseModel):
    """A row about one occurrence of a segment, of one observer or all."""

    model_config = STRICT

    occurrence: Whole = None
    granularity: Annotated[Granularity | None, BeforeValidator(empty_as_none)] = None
    observer: Whole = None

    def _part(self, text: str, segment: str, where: str) -> Segment:
        try:
            return segment_of(text, segment, self.granularity, self.occurrence or 0)
        except InputError as error:
            raise InputError(f"{where}: {error}") from error


class FixationRow(_PartRow):
    """A fixation in the table of one image, on a part of a text or on all of it."""

    text: _Text = None
    segment: _Text = None
    x: _Position
    y: _Position
    start: Number = None
    end: Number = None
    duration: _Seconds = None

    def seconds(self, where: str) -> float | None:
        """The duration; None if unknown. Raises InputError for an end before the start."""
        if self.start is None or self.end is None:
            return self.duration
        in_order(self.start, self.end, f"{where}: a fixation")
        return self.end - self.start

    def part(self, where: str) -> Segment | None:
        """The part of the text; None where there is no text.

        Raises:
            InputError: a segment without a text, or one that is not in it.
        """
        if self.text is not None:
            return self._part(self.text, self.segment or self.text, where)
        if self.segment is not None:
            raise InputError(
                f"{where}: expected the text of the segment {self.segment!r}, got none: add it"
            )
        return None


class ImageFixationRow(FixationRow):
    """A fixation in a table of all images."""

    image: _Filled


class MapRow(_PartRow):
    """The map of a part of a text."""

    image: _Filled
    text: _Filled
    segment: _Filled
    map: Annotated[FileName, BeforeValidator(as_text)]

    def part(self, where: str) -> Segment:
        """The part of the text. Raises InputError for a segment that is not in it."""
        return self._part(self.text, self.segment, where)


class TextRow(BaseModel):
    """What was said or read about an image."""

    model_config = STRICT

    image: _Filled
    text: _Filled


R = TypeVar("R", bound=BaseModel)


def rows(file: Path, schema: type[R]) -> Iterator[tuple[str, R]]:
    """Yields the rows of a table, each with its name in error messages.

    Raises:
        InputError: a missing column, or a cell of the wrong form.
    """
    adapter = TypeAdapter(schema)
    required = [name for name, field in schema.model_fields.items() if field.is_required()]
    optional = [name for name in schema.model_fields if name not in required]
    for where, values in read_rows(file, required, optional):
        yield where, entry(adapter, values, where)


def of_image(where: str, image: str, images: Mapping[str, Path]) -> str:
    """The image that a row is about. Raises InputError if it is missing."""
    name = image_named(image, images)
    if name is None:
        raise InputError(f"{where}: expected the name of an image, got {image!r}")
    return name
