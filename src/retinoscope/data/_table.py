"""Tables of questions and objects: CSV, JSON lines or parquet."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from ..errors import InputError
from ._box import Box
from .schema import STRICT, Coordinate, FileName, Index, Name, entry, inside
from .tabular import SUFFIXES as SUFFIXES
from .tabular import read_rows

TABLES = ("questions.csv", "questions.jsonl", "questions.parquet")
REQUIRED = ("image",)
ASKED = ("question", "answer")
"""Both or neither: a table of objects alone asks nothing."""
OPTIONAL = (*ASKED, "kind", "id", "object", "box", "mask", "about")


def _empty(value: object) -> object:
    """None for an empty cell, which parquet may call NaN."""
    blank = value is None or (isinstance(value, str) and not value.strip())
    return None if blank or (isinstance(value, float) and math.isnan(value)) else value


def _as_text(value: object) -> object:
    """A number as a text: tables write ids and answers in digits."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return _empty(str(value) if plain and _empty(value) is not None else value)


def _numbers(value: object) -> object:
    """The numbers of a list, or of a text such as "[1, 2]", "1,2" or "1 2"."""
    value = _empty(value)
    if isinstance(value, str):
        value = [one for one in re.split(r"[\s,]+", value.strip().strip("[]").strip()) if one]
        return [_number(one) for one in value]
    return [value] if isinstance(value, int | float) else value


def _number(word: str) -> object:
    try:
        return float(word)
    except ValueError:
        return word


def _in_order(box: Box) -> Box:
    if box[2] <= box[0] or box[3] <= box[1]:
        raise ValueError("x0 y0 x1 y1 with x0 < x1 and y0 < y1")
    return box


def _whole(values: object) -> object:
    """Numbers of a text are floats; 1.0 is an index."""
    values = _numbers(values)
    if not isinstance(values, Sequence) or isinstance(values, str):
        return values
    return [int(one) if isinstance(one, float) and one.is_integer() else one for one in values]


_Text = Annotated[Name | None, BeforeValidator(_as_text)]
_Four = Annotated[
    tuple[Coordinate, Coordinate, Coordinate, Coordinate],
    Field(strict=False),
    AfterValidator(_in_order),
]


@with_config(STRICT)
class _TableRow(TypedDict):
    """A row of a table; an empty cell is as good as none."""

    image: Annotated[FileName, BeforeValidator(_as_text)]
    question: _Text
    answer: _Text
    kind: _Text
    id: _Text
    object: _Text
    box: Annotated[_Four | None, BeforeValidator(_numbers)]
    mask: Annotated[FileName | None, BeforeValidator(_empty)]
    about: Annotated[list[Index] | None, BeforeValidator(_whole)]


_CELLS = TypeAdapter(_TableRow)


@dataclass(frozen=True)
class Row:
    """A question about one image; see `folder` and `table` for the meaning of the columns."""

    image: str
    question: str | None
    answer: str | None
    kind: str
    id: str | None
    object: str | None
    box: Box | None
    mask: str | None
    about: tuple[int, ...] | None
    where: str


def find_table(folder: Path) -> Path | None:
    """The table of a folder, if it has one. Raises InputError for more than one."""
    found = [folder / name for name in TABLES if (folder / name).is_file()]
    if len(found) > 1:
        raise InputError(
            f"{folder}: expected one table of questions, got "
            f"{' and '.join(file.name for file in found)}: keep one"
        )
    return found[0] if found else None


def read_table(file: Path, *, outside: bool = False) -> list[Row]:
    """The rows of a table.

    Args:
        outside: images and masks may lie outside the folder.

    Raises:
        InputError: a missing column, a missing value, one of another form, a file outside the
            folder, or a file of another format.
    """
    rows = []
    for where, values in read_rows(file, REQUIRED, OPTIONAL):
        lost = [name for name in ASKED if name not in values]
        if len(lost) == 1:
            raise InputError(
                f"{where}: expected the columns question and answer, or neither, got no "
                f"{lost[0]}: add {lost[0]}"
            )
        rows.append(_row(where, values, outside))
    return rows


def _row(where: str, values: Mapping[str, object], outside: bool) -> Row:
    stored: Mapping[str, Any] = {name: values.get(name) for name in (*REQUIRED, *OPTIONAL)}
    cells = entry(_CELLS, stored, where)
    lost = [name for name in ASKED if cells[name] is None]
    if len(lost) == 1:
        raise InputError(f"{where}: expected a question and its answer, got no {lost[0]}: add it")
    if cells["box"] is not None and cells["mask"] is not None:
        raise InputError(f"{where}: expected a box or a mask, got both: leave one out")
    for name in (cells["image"], cells["mask"]):
        if name is not None:
            inside(name, where, outside=outside)
    about = cells["about"]
    return Row(
        cells["image"],
        cells["question"],
        cells["answer"],
        cells["kind"] or "question",
        cells["id"],
        cells["object"],
        cells["box"],
        cells["mask"],
        None if about is None else tuple(about),
        where,
    )
