"""parts/*.parquet: finished samples in the order they finish, merged into results.parquet.

A part is never changed. Many small ones are replaced by a *segment* (see `_compact`): a part that
names in its metadata the parts it holds the samples of. Where both are there, because the process
died before the small ones were removed, the segment counts.

Each part and results.parquet carry the mark of their run (`mark_of` its manifest): a file of
another run is refused, not merged.
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
    """Where one sample's rows are: the part, the first row in it, how many, with which columns."""

    part: Path
    first: int
    count: int
    columns: tuple[str, ...]


@dataclass(frozen=True)
class PartIndex:
    """All finished samples of a run directory, and the type of each column over all of them.

    `rows` are the number of rows of each part, oldest first; `replaced` are parts whose samples
    stand in a segment as well, and which can go.
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
    """Writes some samples' tables (from `table_of`) as one part; returns where each one is.

    Keys and column names go into the part's metadata, so that a sample without rows counts as
    finished and resuming reads no rows.

    Args:
        run: the run's mark.
        replaces: older parts whose samples these are.

    Raises:
        StudyError, InputError: as `atomic_file` does.
    """
    types: dict[str, pa.DataType] = {}
    places: dict[str, Place] = {}
    columns: dict[tuple[str, ...], tuple[str, ...]] = {}
    first = 0
    for key, table in tables:
        types = join_schemas(types, table.schema, f"sample {key}")
        own = _own_columns(table.schema)
        places[key] = Place(path, first, table.num_rows, columns.setdefault(own, own))
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
    """The index of `parts`, from their metadata alone.

    Args:
        run: the run's mark.

    Raises:
        InputError: a part that cannot be read or belongs to another run, or a sample that stands in
            two parts.
    """
    heads = {part: _read_head(part, run) for part in parts}
    schemas = {part: head.schema for part, head in heads.items()}
    replaced = {part.with_name(name) for part, head in heads.items() for name in head.replaces}
    places: dict[str, Place] = {}
    types: dict[str, pa.DataType] = {}
    rows: dict[Path, int] = {}
    # Thousands of samples share a handful of column lists.
    columns: dict[tuple[str, ...], tuple[str, ...]] = {}
    for part, schema in schemas.items():
        if part in replaced:
            continue
        first = 0
        for key, count, names in heads[part].samples:
            if key in places:
                raise InputError(
                    f"sample {key} stands in both {places[key].part} and {part}; delete one file"
                )
            own = tuple(names)
            places[key] = Place(part, first, count, columns.setdefault(own, own))
            first += count
        rows[part] = first
        types = join_schemas(types, schema, str(part))
    return PartIndex(places, types, rows, tuple(sorted(replaced & schemas.keys())))


@dataclass(frozen=True)
class _Head:
    """A part's own metadata: key, rows and columns of each sample, the parts that it replaces."""

    schema: pa.Schema
    samples: list[tuple[str, int, list[str]]]
    replaces: list[str]


_SAMPLE_LIST = TypeAdapter(list[tuple[str, Annotated[int, Field(ge=0)], list[str]]])
_NAME_LIST = TypeAdapter(list[Annotated[str, StringConstraints(pattern=r"^\d{1,9}\.parquet$")]])


def _read_head(part: Path, run: str) -> _Head:
    try:
        read = pq.read_metadata(part)
        schema = read.schema.to_arrow_schema()
        facts = schema.metadata or {}
        samples = _SAMPLE_LIST.validate_json(facts[_SAMPLES])
        replaces = _NAME_LIST.validate_json(facts.get(_REPLACES, b"[]"))
        if sum(count for _, count, _ in samples) != read.num_rows:
            raise ValueError("its samples have other rows")
        if not {name for _, _, names in samples for name in names} <= set(schema.names):
            raise ValueError("its samples have other columns")
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise _damaged(part, error) from None
    if facts.get(_RUN) != run.encode():
        raise InputError(
            f"{part}: expected a part of this run, got one of another run (or of a version "
            "that did not mark its parts): remove that file, its samples are computed anew"
        )
    return _Head(schema, samples, replaces)


def check_results(file: Path, schema: pa.Schema, run: str) -> None:
    """Raises InputError for a results.parquet that another run wrote.

    A file without a mark, of an older version or rewritten by hand, has nothing to compare.
    """
    found = (schema.metadata or {}).get(_RUN)
    if found is not None and found != run.encode():
        raise InputError(
            f"{file}: expected the results of the run that run.json beside it describes, got those "
            "of another run: restore the file, or delete it and give the same command again"
        )


def _damaged(part: Path, error: Exception) -> InputError:
    return InputError(
        f"{part} cannot be read ({type(error).__name__}); delete that file and give the "
        "same command again: its samples are computed anew"
    )


def read_part(part: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of one part; of `columns` those that it has. Raises `InputError` if damaged."""
    try:
        if columns is None:
            return pq.read_table(part)
        known = pq.read_schema(part).names
        return pq.read_table(part, columns=[name for name in columns if name in known])
    except (OSError, pa.ArrowException) as error:
        raise _damaged(part, error) from None


def ordered_keys(index: PartIndex, order: Sequence[str] | None) -> list[str]:
    """The finished samples in the order given; keys that `order` lacks follow, sorted."""
    known = [key for key in dict.fromkeys(order or ()) if key in index.places]
    return known + sorted(index.places.keys() - set(known))


def final_schema(index: PartIndex, keys: Sequence[str]) -> pa.Schema:
    """Key and number first, then the columns by first appearance along `keys`."""
    names = dict.fromkeys(name for key in keys for name in index.places[key].columns)
    fields = [pa.field(KEY, pa.string()), pa.field(ROW, pa.int64())]
    return pa.schema(fields + [pa.field(name, index.types[name]) for name in names])


def sorted_tables(index: PartIndex, keys: Sequence[str]) -> Iterator[pa.Table]:
    """The rows of `keys`, in that order, in tables of exactly `ROWS_PER_GROUP` rows (the last one
    fewer), each column one chunk: neither depends on where the parts were cut."""
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

    The bytes depend on the run's mark, rows, order and pyarrow's version only. Raises as
    `atomic_file` does.
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
        # Samples mostly come in order, so a few parts suffice; the bound keeps memory flat.
        while len(cache) > 1 and sum(t.num_rows for t in cache.values()) > _CACHED_ROWS:
            cache.popitem(last=False)
    cache.move_to_end(part)
    return cache[part]
