"""Tables of questions: CSV, JSON lines or parquet."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ._box import Box
from ._tabular import SUFFIXES as SUFFIXES
from ._tabular import read_rows

TABLES = ("questions.csv", "questions.jsonl", "questions.parquet")
REQUIRED = ("image", "question", "answer")
OPTIONAL = ("kind", "id", "object", "box", "mask", "about")


@dataclass(frozen=True)
class Row:
    """A question about one image; see `folder` and `table` for the meaning of the columns."""

    image: str
    question: str
    answer: str
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


def read_table(file: Path) -> list[Row]:
    """The rows of a table.

    Raises:
        InputError: a missing column, a missing value, one of another form, or a file of another
            format.
    """
    return [_row(where, values) for where, values in read_rows(file, REQUIRED, OPTIONAL)]


def _row(where: str, values: Mapping[str, object]) -> Row:
    missing = [name for name in REQUIRED if values.get(name) in (None, "")]
    if missing:
        raise InputError(
            f"{where}: expected values for {', '.join(REQUIRED)}, got none for "
            f"{', '.join(missing)}: fill them in"
        )
    image, question, answer = (str(values[name]) for name in REQUIRED)
    kind, ident, named, mask = (
        _text(values.get(name)) for name in ("kind", "id", "object", "mask")
    )
    box, about = _numbers(values.get("box")), _numbers(values.get("about"))
    if box is not None and (len(box) != 4 or not all(map(math.isfinite, box))):
        raise InputError(
            f"{where}: expected box as four numbers x0 y0 x1 y1, got {values['box']!r}"
        )
    if box is not None and mask is not None:
        raise InputError(f"{where}: expected a box or a mask, got both: leave one out")
    if about is not None and not all(index >= 0 and index == int(index) for index in about):
        raise InputError(
            f"{where}: expected about as indices of objects from 0, got {values['about']!r}"
        )
    return Row(
        image,
        question,
        answer,
        kind or "question",
        ident,
        named,
        None if box is None else (box[0], box[1], box[2], box[3]),
        mask,
        None if about is None else tuple(int(index) for index in about),
        where,
    )


def _text(value: object) -> str | None:
    return None if value in (None, "") else str(value)


def _numbers(value: object) -> Sequence[float] | None:
    """The numbers of a list, or of a text such as "[1, 2]", "1,2" or "1 2"; NaN for other words."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        value = re.split(r"[\s,]+", value.strip().strip("[]").strip())
        value = [] if value == [""] else value
    if not isinstance(value, Sequence):
        value = [value]
    return [_number(one) for one in value]


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan
