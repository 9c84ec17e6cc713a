"""Tables with any columns (CSV, JSON lines or parquet), row by row with the place of each."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

from pydantic_core import from_json

from ..errors import InputError

SUFFIXES = (".csv", ".jsonl", ".parquet")

_ROWS = 1_000_000
"""The most rows of a parquet file, unless it has a byte for each."""
_AT_ONCE = 256

Rows = Iterator[tuple[str, Mapping[str, object]]]
Check = Callable[[str, Sequence[str]], None]


def read_rows(file: Path, required: Sequence[str], optional: Sequence[str]) -> Rows:
    """Yields the rows of a table, each with its name in errors; other columns are ignored.

    Raises:
        InputError: a missing column, one that is nearly a known one, or a file of another format.
    """
    if file.suffix not in _READERS:
        raise InputError(f"{file}: expected a table {', '.join(SUFFIXES)}, got {file.suffix!r}")

    def check(where: str, columns: Sequence[str]) -> None:
        _check_columns(where, columns, required, optional)

    try:
        yield from _READERS[file.suffix](file, check, (*required, *optional))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file}: cannot be read as {file.suffix[1:]} ({error})") from error


def find_rows(folder: Path, stem: str) -> Path | None:
    """The table of that name in a folder, if any. Raises InputError if there are several."""
    tables = [
        folder / (stem + suffix) for suffix in SUFFIXES if (folder / (stem + suffix)).is_file()
    ]
    if len(tables) > 1:
        raise InputError(
            f"{folder}: expected one table {stem}, got "
            f"{' and '.join(file.name for file in tables)}: keep one"
        )
    return tables[0] if tables else None


def _from_csv(file: Path, check: Check, names: Sequence[str]) -> Rows:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        check(str(file), list(reader.fieldnames or ()))
        for values in reader:
            where = f"{file}: line {reader.line_num}"
            if None in values:
                raise InputError(
                    f"{where}: more values than columns: put texts with commas in quotes"
                )
            yield where, values


def _from_jsonl(file: Path, check: Check, names: Sequence[str]) -> Rows:
    with file.open(encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            where = f"{file}: line {number}"
            try:
                values = from_json(line)
            except ValueError as error:
                raise InputError(
                    f"{where}: expected a JSON object, got something else ({error})"
                ) from error
            if not isinstance(values, dict):
                raise InputError(f"{where}: expected a JSON object, got {line.strip()[:40]}")
            check(where, list(values))
            yield where, values


def _from_parquet(file: Path, check: Check, names: Sequence[str]) -> Rows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as table:
            present, count = table.schema_arrow.names, table.metadata.num_rows
            # Repeated rows take no bytes, so a small file can claim billions.
            if count > max(_ROWS, file.stat().st_size):
                raise InputError(f"{file}: expected at most {_ROWS:,} rows, got {count:,}")
            check(str(file), present)
            wanted = [name for name in names if name in present]
            batches = table.iter_batches(_AT_ONCE, columns=wanted)
            rows = chain.from_iterable(batch.to_pylist() for batch in batches)
            for number, values in enumerate(rows, start=1):
                yield f"{file}: row {number}", values
    except InputError:
        raise
    except (pa.ArrowException, ValueError, OverflowError) as error:
        details = " ".join(str(error).split())
        raise InputError(f"{file}: expected parquet, got something else ({details})") from error


def _check_columns(
    where: str, columns: Sequence[str], required: Sequence[str], optional: Sequence[str]
) -> None:
    got = ", ".join(map(str, columns)) or "none"
    missing = [name for name in required if name not in columns]
    if missing:
        raise InputError(
            f"{where}: expected the columns {', '.join(required)} (and optionally "
            f"{', '.join(optional)}), got {got}: add {', '.join(missing)}"
        )
    for name in columns:
        plain = str(name).strip().lower()
        # Silently ignoring a misspelt column would lose its content.
        if plain in optional and name not in optional:
            raise InputError(f"{where}: expected the column {plain!r}, got {name!r}: rename it")


_READERS = {".csv": _from_csv, ".jsonl": _from_jsonl, ".parquet": _from_parquet}
