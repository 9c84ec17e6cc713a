"""Tables of questions and objects: CSV, JSON lines or parquet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from ..errors import InputError
from ._box import Box
from .cells import Text, as_numbers, as_text, as_wholes, empty_as_none
from .schema import STRICT, Coordinate, FileName, Index, entry, inside
from .tabular import SUFFIXES as SUFFIXES
from .tabular import read_rows

REQUIRED = ("image",)
ASKED = ("question", "answer")
"""Both or neither: a table of objects alone has no questions."""
OPTIONAL = (*ASKED, "kind", "id", "object", "box", "mask", "about")


def _in_order(box: Box) -> Box:
    if box[2] <= box[0] or box[3] <= box[1]:
        raise ValueError("x0 y0 x1 y1 with x0 < x1 and y0 < y1")
    return box


_Four = Annotated[
    tuple[Coordinate, Coordinate, Coordinate, Coordinate],
    Field(strict=False),
    AfterValidator(_in_order),
]


@with_config(STRICT)
class _TableRow(TypedDict):
    """A row of a table; an empty cell counts as missing."""

    image: Annotated[FileName, BeforeValidator(as_text)]
    question: Text
    answer: Text
    kind: Text
    id: Text
    object: Text
    box: Annotated[_Four | None, BeforeValidator(as_numbers)]
    mask: Annotated[FileName | None, BeforeValidator(empty_as_none)]
    about: Annotated[list[Index] | None, BeforeValidator(as_wholes)]


_CELLS = TypeAdapter(_TableRow)


@dataclass(frozen=True)
class Row:
    """A row about one image; see `folder` and `table` for the meaning of the columns."""

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


def read_table(file: Path, *, outside: bool = False) -> list[Row]:
    """Reads the rows of a table.

    Args:
        outside: allow images and masks outside the folder.

    Raises:
        InputError: a missing column or value, a value of the wrong form, a file outside the folder,
            or a file of another format.
    """
    rows = []
    for where, values in read_rows(file, REQUIRED, OPTIONAL):
        missing = [name for name in ASKED if name not in values]
        if len(missing) == 1:
            raise InputError(
                f"{where}: expected the columns question and answer, or neither, got no "
                f"{missing[0]}: add {missing[0]}"
            )
        rows.append(_row(where, values, outside))
    return rows


def _row(where: str, values: Mapping[str, object], outside: bool) -> Row:
    stored: Mapping[str, Any] = {name: values.get(name) for name in (*REQUIRED, *OPTIONAL)}
    cells = entry(_CELLS, stored, where)
    missing = [name for name in ASKED if cells[name] is None]
    if len(missing) == 1:
        raise InputError(
            f"{where}: expected a question and its answer, got no {missing[0]}: add it"
        )
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
