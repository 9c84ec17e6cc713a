"""parts/*.parquet: finished samples in the order they finish, merged into results.parquet.

A part is never changed. Many small ones are replaced by a *segment* (see `_compact`): a part whose
metadata names the parts that it replaces. If the process died before these were removed, both
exist, and the segment counts.

Each part and results.parquet carry the mark of their run (`mark_of` its manifest), so a file of
another run is refused rather than merged.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, StringConstraints, TypeAdapter

from retinoscope.errors import InputError
from retinoscope.store._atomic import atomic_file
from retinoscope.store._rows import KEY, ROW, conform, join_schemas

PARTS, RESULTS = "parts", "results.parquet"
ROWS_PER_GROUP = 32_768

_SAMPLES, _REPLACES = b"retinoscope.samples", b"retinoscope.replaces"
_RUN = b"retinoscope.run"
_CACHED_ROWS = 4 * ROWS_PER_GROUP


@dataclass(frozen=True, slots=True)
class Place:
    """The location of one sample's rows: part, first row, number of rows, columns."""

    part: Path
    first: int
    count: int
    columns: tuple[str, ...]


@dataclass(frozen=True)
class PartIndex:
    """All finished samples of a run directory, and the type of each column over all of them.

    `rows` holds the number of rows of each part, oldest first; `replaced` are parts whose samples
    are also in a segment, and which can be deleted.
    """

    places: dict[str, Place]
    types: dict[str, pa.DataType]
    rows: dict[Path, int] = field(default_factory=dict)
    replaced: tuple[Path, ...] = ()


def write_part(
    path: Path,
    tables: Sequence[tuple[str, pa.Table]],
    run: str,
    replaces: Sequence[Path] = (),
) -> dict[str, Place]:
    """Writes some samples' tables (from `table_of`) as one part.

    Keys and column names go into the part's metadata, so that a sample without rows counts as
    finished and resuming reads no rows.

    Args:
        run: the run's mark.
        replaces: older parts that hold these samples.

    Returns:
        Where each sample is.

    Raises:
        StudyError, InputError: see `atomic_file`.
    """
    types: dict[str, pa.DataType] = {}
    places: dict[str, Place] = {}
    columns: dict[tuple[str, ...], tuple[str, ...]] = {}
    first = 0
    for key, table in tables:
        types = join_schemas(types, table.schema, f"sample {key}")
        names = _own_columns(table.schema)
        places[key] = Place(path, first, table.num_rows, columns.setdefault(names, names))
        first += table.num_rows
    samples = [[key, place.count, list(place.columns)] for key, place in places.items()]
    facts = {_SAMPLES: json.dumps(samples).encode(), _RUN: run.encode()}
    if replaces:
        facts[_REPLACES] = json.dumps([part.name for part in replaces]).encode()
    schema = pa.schema(types).with_metadata(facts)
    contents = [schema.empty_table(), *(conform(table, schema) for _, table in tables)]
    whole = pa.concat_tables(contents).combine_chunks()
    with atomic_file(path) as file:
        pq.write_table(whole, file, compression="zstd")
    return places


def read_index(parts: Iterable[Path], run: str) -> PartIndex:
    """Reads the index of `parts` from their metadata alone.

    Args:
        run: the run's mark.

    Raises:
        InputError: a part that cannot be read or belongs to another run, or a sample that is in two
            parts.
    """
    heads = {part: _read_head(part, run) for part in parts}
    schemas = {part: head.schema for part, head in heads.items()}
    replaced = {part.with_name(name) for part, head in heads.items() for name in head.replaces}
    places: dict[str, Place] = {}
    types: dict[str, pa.DataType] = {}
    rows: dict[Path, int] = {}
    # Thousands of samples share a few column lists.
    columns: dict[tuple[str, ...], tuple[str, ...]] = {}
    for part, schema in schemas.items():
        if part in replaced:
            continue
        first = 0
        for key, count, names in heads[part].samples:
            if key in places:
                raise InputError(
                    f"sample {key} is in both {places[key].part} and {part}; delete one file"
                )
            key_columns = tuple(names)
            places[key] = Place(part, first, count, columns.setdefault(key_columns, key_columns))
            first += count
        rows[part] = first
        types = join_schemas(types, schema, str(part))
    return PartIndex(places, types, rows, tuple(sorted(replaced & schemas.keys())))


@dataclass(frozen=True)
class _PartHead:
    """A part's metadata: key, rows and columns of each sample, and the parts that it replaces."""

    schema: pa.Schema
    samples: list[tuple[str, int, list[str]]]
    replaces: list[str]


_SAMPLE_LIST = TypeAdapter(list[tuple[str, Annotated[int, Field(ge=0)], list[str]]])
_NAME_LIST = TypeAdapter(list[Annotated[str, StringConstraints(pattern=r"^\d{1,9}\.parquet$")]])


def _read_head(part: Path, run: str) -> _PartHead:
    try:
        read = pq.read_metadata(part)
        schema = read.schema.to_arrow_schema()
        facts = schema.metadata or {}
        samples = _SAMPLE_LIST.validate_json(facts[_SAMPLES])
        replaces = _NAME_LIST.validate_json(facts.get(_REPLACES, b"[]"))
        if sum(count for _, count, _ in samples) != read.num_rows:
            raise ValueError("its samples have a different number of rows")
        if not {name for _, _, names in samples for name in names} <= set(schema.names):
            raise ValueError("its samples have different columns")
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise _damaged(part, error) from None
    if facts.get(_RUN) != run.encode():
        raise InputError(
            f"{part}: expected a part of this run, got one of another run (or of a version "
            "that did not mark its parts): delete that file, its samples are computed again"
        )
    return _PartHead(schema, samples, replaces)


def check_results(file: Path, schema: pa.Schema, run: str) -> None:
    """Raises InputError if another run wrote this results.parquet.

    A file without a mark, from an older version or rewritten by hand, passes.
    """
    mark = (schema.metadata or {}).get(_RUN)
    if mark is not None and mark != run.encode():
        raise InputError(
            f"{file}: expected the results of the run that run.json beside it describes, got those "
            "of another run: restore the file, or delete it and run the same command again"
        )


def _damaged(part: Path, error: Exception) -> InputError:
    return InputError(
        f"{part} cannot be read ({type(error).__name__}); delete that file and run the "
        "same command again: its samples are computed again"
    )


def read_part(part: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Reads one part, with those of `columns` that it has. Raises `InputError` if damaged."""
    try:
        if columns is None:
            return pq.read_table(part)
        known = pq.read_schema(part).names
        return pq.read_table(part, columns=[name for name in columns if name in known])
    except (OSError, pa.ArrowException) as error:
        raise _damaged(part, error) from None


def ordered_keys(index: PartIndex, order: Sequence[str] | None) -> list[str]:
    """The finished samples in the given order; keys that `order` lacks follow, sorted."""
    known = [key for key in dict.fromkeys(order or ()) if key in index.places]
    return known + sorted(index.places.keys() - set(known))


def final_schema(index: PartIndex, keys: Sequence[str]) -> pa.Schema:
    """Sample key and row number, then the columns by first appearance along `keys`."""
    names = dict.fromkeys(name for key in keys for name in index.places[key].columns)
    fields = [pa.field(KEY, pa.string()), pa.field(ROW, pa.int64())]
    return pa.schema(fields + [pa.field(name, index.types[name]) for name in names])


def sorted_tables(index: PartIndex, keys: Sequence[str]) -> Iterator[pa.Table]:
    """Yields the rows of `keys` in order, in tables of exactly `ROWS_PER_GROUP` rows (but for the
    last), each column one chunk, so that the tables do not depend on how parts were cut."""
    schema = final_schema(index, keys)
    cache: OrderedDict[Path, pa.Table] = OrderedDict()
    waiting: list[pa.Table] = []
    count = 0
    for key in keys:
        place = index.places[key]
        if not place.count:
            continue
        table = _cached(cache, place.part)
        waiting.append(conform(table.slice(place.first, place.count), schema))
        count += place.count
        if count >= ROWS_PER_GROUP:
            whole = pa.concat_tables(waiting)
            while count >= ROWS_PER_GROUP:
                yield whole.slice(0, ROWS_PER_GROUP).combine_chunks()
                whole = whole.slice(ROWS_PER_GROUP)
                count -= ROWS_PER_GROUP
            waiting = [whole] if count else []
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


def write_results(path: Path, index: PartIndex, keys: Sequence[str], run: str) -> None:
    """Merges the parts into one Parquet file, a row group at a time.

    The bytes depend only on the run's mark, the rows, their order and pyarrow's version. Raises
    what `atomic_file` raises.
    """
    schema = final_schema(index, keys).with_metadata({_RUN: run.encode()})
    with (
        atomic_file(path) as file,
        pq.ParquetWriter(file, schema, compression="zstd") as writer,
    ):
        for table in sorted_tables(index, keys):
            writer.write_table(table.cast(schema), row_group_size=ROWS_PER_GROUP)


def merged(index: PartIndex, keys: Sequence[str]) -> pa.Table:
    """The same rows as one table in memory."""
    schema = final_schema(index, keys)
    return pa.concat_tables([schema.empty_table(), *sorted_tables(index, keys)])


def part_files(folder: Path) -> list[Path]:
    """The parts of a run directory, oldest first."""
    return sorted(p for p in (folder / PARTS).glob("*.parquet") if not p.name.startswith("."))


def _own_columns(schema: pa.Schema) -> tuple[str, ...]:
    return tuple(name for name in schema.names if name not in (KEY, ROW))


def _cached(cache: OrderedDict[Path, pa.Table], part: Path) -> pa.Table:
    if part not in cache:
        cache[part] = read_part(part)
        # Samples mostly come in order, so a few parts suffice; the limit bounds memory.
        while len(cache) > 1 and sum(t.num_rows for t in cache.values()) > _CACHED_ROWS:
            cache.popitem(last=False)
    cache.move_to_end(part)
    return cache[part]
