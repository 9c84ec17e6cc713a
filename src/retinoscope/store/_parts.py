"""parts/*.parquet: finished samples as they come, and their merge into results.parquet."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from retinoscope.errors import InputError
from retinoscope.store._atomic import atomic_file
from retinoscope.store._rows import KEY, ROW, conform, join_schemas

PARTS, RESULTS = "parts", "results.parquet"
ROWS_PER_GROUP = 32_768

_SAMPLES = b"retinoscope.samples"
_CACHED_ROWS = 4 * ROWS_PER_GROUP


@dataclass(frozen=True)
class Place:
    """Where one sample's rows are: the part, the first row in it, how many, with which columns."""

    part: Path
    first: int
    count: int
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Index:
    """All finished samples of a run directory, and the type of each column over all of them."""

    places: dict[str, Place]
    types: dict[str, pa.DataType]


def write_part(path: Path, tables: Sequence[tuple[str, pa.Table]]) -> list[tuple[str, Place]]:
    """Writes some samples' tables (from `table_of`) as one part; returns where each one is.

    Keys and column names go into the part's metadata, so that a sample without rows counts as
    finished and resuming reads no rows.

    Raises:
        StudyError, InputError: as `atomic_file` does.
    """
    types: dict[str, pa.DataType] = {}
    places: list[tuple[str, Place]] = []
    first = 0
    for key, table in tables:
        types = join_schemas(types, table.schema, f"sample {key}")
        places.append((key, Place(path, first, table.num_rows, _own_columns(table.schema))))
        first += table.num_rows
    samples = [[key, place.count, list(place.columns)] for key, place in places]
    schema = pa.schema(types).with_metadata({_SAMPLES: json.dumps(samples).encode()})
    whole = pa.concat_tables([conform(table, schema) for _, table in tables]).combine_chunks()
    with atomic_file(path) as file:
        pq.write_table(whole, file, compression="zstd")
    return places


def read_index(parts: Iterable[Path]) -> Index:
    """The index of `parts`, from their metadata alone.

    Raises:
        InputError: a part that cannot be read, or a sample that stands in two parts.
    """
    places: dict[str, Place] = {}
    types: dict[str, pa.DataType] = {}
    for part in parts:
        try:
            schema = pq.read_schema(part)
            samples = json.loads((schema.metadata or {})[_SAMPLES])
        except (OSError, pa.ArrowException, KeyError, ValueError) as error:
            raise InputError(
                f"{part} cannot be read ({type(error).__name__}); delete that file and give the "
                "same command again: its samples are computed anew"
            ) from None
        first = 0
        for key, count, columns in samples:
            if key in places:
                raise InputError(
                    f"sample {key} stands in both {places[key].part} and {part}; delete one file"
                )
            places[key] = Place(part, first, count, tuple(columns))
            first += count
        types = join_schemas(types, schema, str(part))
    return Index(places, types)


def ordered_keys(index: Index, order: Sequence[str] | None) -> list[str]:
    """The finished samples in the order given; keys that `order` lacks follow, sorted."""
    known = [key for key in dict.fromkeys(order or ()) if key in index.places]
    return known + sorted(index.places.keys() - set(known))


def final_schema(index: Index, keys: Sequence[str]) -> pa.Schema:
    """Key and number first, then the columns by first appearance along `keys`."""
    names = dict.fromkeys(name for key in keys for name in index.places[key].columns)
    fields = [pa.field(KEY, pa.string()), pa.field(ROW, pa.int64())]
    return pa.schema(fields + [pa.field(name, index.types[name]) for name in names])


def sorted_tables(index: Index, keys: Sequence[str]) -> Iterator[pa.Table]:
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


def write_results(path: Path, index: Index, keys: Sequence[str]) -> None:
    """Merges the parts into one Parquet file, a row group at a time.

    The bytes depend on rows, order and pyarrow's version only. Raises as `atomic_file` does.
    """
    with (
        atomic_file(path) as file,
        pq.ParquetWriter(file, final_schema(index, keys), compression="zstd") as writer,
    ):
        for table in sorted_tables(index, keys):
            writer.write_table(table, row_group_size=ROWS_PER_GROUP)


def merged(index: Index, keys: Sequence[str]) -> pa.Table:
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
        cache[part] = pq.read_table(part)
        # Samples mostly come in order, so a few parts suffice; the bound keeps memory flat.
        while len(cache) > 1 and sum(t.num_rows for t in cache.values()) > _CACHED_ROWS:
            cache.popitem(last=False)
    cache.move_to_end(part)
    return cache[part]
