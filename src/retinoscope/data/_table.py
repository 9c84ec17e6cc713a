"""Tables of questions: CSV, JSON lines or parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError

TABLES = ("questions.csv", "questions.jsonl", "questions.parquet")
REQUIRED = ("image", "question", "answer")
OPTIONAL = ("kind", "object")


@dataclass(frozen=True)
class Row:
    """A question about the image of that file name; `object` names the mask that it is about."""

    image: str
    question: str
    answer: str
    kind: str
    object: str | None
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
        InputError: a missing column, a missing value, or a file of another format.
    """
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
    named = values.get("object")
    kind = str(values.get("kind") or "question")
    return Row(image, question, answer, kind, str(named) if named else None, where)


def _from_csv(file: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        _check_columns(file, reader.fieldnames or ())
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
            yield where, values


def _from_parquet(file: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(file)
        _check_columns(file, schema.names)
        columns = [name for name in (*REQUIRED, *OPTIONAL) if name in schema.names]
        rows = pq.read_table(file, columns=columns).to_pylist()
    except pa.ArrowException as error:
        raise InputError(f"{file}: expected parquet, got something else ({error})") from error
    for number, values in enumerate(rows, start=1):
        yield f"{file}: row {number}", values


def _check_columns(file: Path, columns: object) -> None:
    names = list(columns) if isinstance(columns, list | tuple) else []
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise InputError(
            f"{file}: expected the columns {', '.join(REQUIRED)}, got "
            f"{', '.join(map(str, names)) or 'none'}: add {', '.join(missing)}"
        )


_READERS = {".csv": _from_csv, ".jsonl": _from_jsonl, ".parquet": _from_parquet}
