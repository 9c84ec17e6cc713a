"""Reading results.parquet without the run's lock: whole, or a row group at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from retinoscope import arguments
from retinoscope.errors import InputError
from retinoscope.store._manifest import mark_of, read_manifest
from retinoscope.store._parts import (
    RESULTS,
    ROWS_PER_GROUP,
    PartIndex,
    check_results,
    merged,
    ordered_keys,
    part_files,
    read_index,
)
from retinoscope.store._schema import check_columns, check_group, check_values

_TRIES = 5


def read_results(path: str | Path, partial: bool = False) -> pa.Table:
    """Reads the rows of the run directory `path` into memory; needs no lock.

    Use `scan_results` for tables that do not fit.

    Args:
        partial: without results.parquet, read the rows finished so far, sorted by key.

    Raises:
        InputError: not a run directory, an unfinished run (unless `partial`), or a damaged file.
    """
    folder = arguments.path(path, "a run directory")
    run = mark_of(read_manifest(folder))
    file = folder / RESULTS
    if not file.exists():
        if not partial:
            raise _unfinished(folder, run)
        return _so_far(folder, run)
    try:
        scan = scan_results(folder)
        table = pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(file, error) from None
    check_values(table, scan.file)
    return table.replace_schema_metadata(None)


@dataclass(frozen=True)
class ResultsScan:
    """results.parquet, to be read piece by piece. Made by `scan_results`.

    Attributes:
        schema: names and types of the columns.
        num_rows: number of rows of the whole table.
    """

    file: Path
    schema: pa.Schema
    num_rows: int

    def tables(
        self, columns: Sequence[str] | None = None, rows: int = ROWS_PER_GROUP
    ) -> Iterator[pa.Table]:
        """Yields the rows in order, at most `rows` at a time.

        Args:
            columns: columns to read, of which missing ones are ignored; by default all. Text comes
                as dictionaries, which are smaller.

        Raises:
            InputError: a damaged file.
        """
        known = self.schema.names if columns is None else columns
        chosen = [name for name in known if name in self.schema.names]
        texts = [name for name in chosen if pa.types.is_string(self.schema.field(name).type)]
        try:
            with pq.ParquetFile(self.file, read_dictionary=texts) as file:
                # A single iteration over all groups would keep what it has read of each.
                for group in range(file.metadata.num_row_groups):
                    for batch in file.iter_batches(rows, [group], chosen, use_threads=False):
                        table = pa.Table.from_batches([batch])
                        check_values(table, self.file)
                        yield table
        except (OSError, pa.ArrowException) as error:
            raise _damaged(self.file, error) from None

    def rows(self, first: int, count: int) -> pa.Table:
        """Rows `first` to `first + count - 1`; reads only the row groups that hold them.

        Raises:
            InputError: rows outside the table, or a damaged file.
        """
        if first < 0 or count < 0 or first + count > self.num_rows:
            raise InputError(
                f"expected rows among {self.num_rows}, got {first} to {first + count - 1}"
            )
        try:
            with pq.ParquetFile(self.file) as file:
                groups, begin, before = [], None, 0
                for number in range(file.metadata.num_row_groups):
                    after = before + file.metadata.row_group(number).num_rows
                    if before < first + count and after > first:
                        groups.append(number)
                        begin = before if begin is None else begin
                    before = after
                table = file.read_row_groups(groups, use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise _damaged(self.file, error) from None
        check_values(table, self.file)
        return table.slice(first - (begin or 0), count)


def scan_results(path: str | Path) -> ResultsScan:
    """Opens the results of the finished run directory `path`; needs no lock.

    Raises:
        InputError: not a run directory, an unfinished run, or a damaged file.
    """
    folder = arguments.path(path, "a run directory")
    run = mark_of(read_manifest(folder))
    file = folder / RESULTS
    if not file.exists():
        raise _unfinished(folder, run)
    try:
        with pq.ParquetFile(file) as opened:
            schema, rows = opened.schema_arrow, opened.metadata.num_rows
            for number in range(opened.metadata.num_row_groups):
                group = opened.metadata.row_group(number)
                check_group(group.num_rows, group.total_byte_size, file)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(file, error) from None
    check_results(file, schema, run)
    check_columns(schema, file)
    return ResultsScan(file, schema.remove_metadata(), rows)


def _so_far(folder: Path, run: str) -> pa.Table:
    for left in reversed(range(_TRIES)):
        try:
            index = read_index(part_files(folder), run)
            return merged(index, ordered_keys(index, None))
        except InputError:
            # The writer may have just merged small parts into a large one.
            if not left:
                raise
    raise AssertionError


def _unfinished(folder: Path, run: str) -> InputError:
    index: PartIndex = read_index(part_files(folder), run)
    return InputError(
        f"{folder} is not finished ({len(index.places)} samples so far); "
        "run the command that started it again: it continues where it stopped"
    )


def _damaged(file: Path, error: Exception) -> InputError:
    return InputError(
        f"{file} cannot be read ({type(error).__name__}); delete that file and run the same "
        "command again to merge it again"
    )
