"""Tables of questions: CSV, JSON lines or parquet."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ._box import Box

TABLES = ("questions.csv", "questions.jsonl", "questions.parquet")
SUFFIXES = (".csv", ".jsonl", ".parquet")
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
    if file.suffix not in _READERS:
        raise InputError(f"{file}: expected a table {', '.join(SUFFIXES)}, got {file.suffix!r}")
    try:
        return [_row(where, values) for where, values in _READERS[file.suffix](file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file}: cannot be read as {file.suffix[1:]} ({error})") from error


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


def _from_csv(file: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        check_columns(str(file), list(reader.fieldnames or ()))
        for values in reader:
            where = f"{file}: line {reader.line_num}"
            if None in values:
                raise InputError(
                    f"{where}: more values than columns: put texts with commas in quotes"
                )
            yield where, values


def _from_jsonl(file: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    with file.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            where = f"{file}: line {number}"
            try:
                values = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(
                    f"{where}: expected a JSON object, got no JSON ({error})"
                ) from error
            if not isinstance(values, dict):
                raise InputError(f"{where}: expected a JSON object, got {line.strip()[:40]}")
            check_columns(where, list(values))
            yield where, values


def _from_parquet(file: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = pq.read_schema(file).names
        check_columns(str(file), names)
        columns = [name for name in (*REQUIRED, *OPTIONAL) if name in names]
        rows = pq.read_table(file, columns=columns).to_pylist()
    except pa.ArrowException as error:
        raise InputError(f"{file}: expected parquet, got something else ({error})") from error
    for number, values in enumerate(rows, start=1):
        yield f"{file}: row {number}", values


def check_columns(where: str, columns: Sequence[str]) -> None:
    """Raises InputError for a missing column, and for one that is nearly a known one."""
    got = ", ".join(map(str, columns)) or "none"
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise InputError(
            f"{where}: expected the columns {', '.join(REQUIRED)} (and optionally "
            f"{', '.join(OPTIONAL)}), got {got}: add {', '.join(missing)}"
        )
    for name in columns:
        plain = str(name).strip().lower()
        # A column that is passed over in silence would lose what it says.
        if plain in OPTIONAL and name not in OPTIONAL:
            raise InputError(f"{where}: expected the column {plain!r}, got {name!r}: rename it")


_READERS = {".csv": _from_csv, ".jsonl": _from_jsonl, ".parquet": _from_parquet}
