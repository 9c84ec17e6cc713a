"""Reads results.parquet part by part, so that a summary sees related rows together.

If the rows do not fit into memory, they are sorted on disk: the file is read once to count the rows
of each part, and once to write them grouped by part. Memory is bounded by the largest part, not by
the number of rows; a part that is larger than a block comes in several frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from glob import glob
from tempfile import TemporaryDirectory
from typing import cast

import polars as pl
import pyarrow as pa

from ..store import ResultsScan
from .columns import LISTS, NUMBER, TEXT, TRUTH, WHOLE, Columns, Kind

BLOCK_ROWS = 250_000
"""Maximum number of rows held at once, of some dozen columns, of parts that fit."""

TYPES: dict[Kind, pl.DataType] = {
    TEXT: pl.String(),
    WHOLE: pl.Int64(),
    NUMBER: pl.Float64(),
    TRUTH: pl.Boolean(),
}
TYPES |= {kind: pl.List(TYPES[of]) for kind, of in LISTS.items()}
_HELD = TYPES | {TEXT: pl.Categorical()}
"""Polars types in memory; millions of rows have a few thousand distinct texts."""


def parts(
    scan: ResultsScan,
    kinds: Columns,
    columns: Sequence[str],
    together: list[str],
    where: pl.Expr,
) -> Iterator[Iterable[pl.DataFrame]]:
    """Yields the rows where `where` holds, grouped by equal values of the columns `together`.

    Parts come in the order of their first rows, rows in their own order; a large part comes in
    several frames, which need not be held together.

    Raises:
        InputError: the file is damaged.
    """
    filtered = where.meta.root_names()
    chosen = list(dict.fromkeys((*together, *columns, *filtered)))

    def rows(names: Sequence[str]) -> Iterator[pl.DataFrame]:
        yield frame_of(scan.schema.empty_table(), kinds, names)
        for table in scan.tables(names):
            yield frame_of(table, kinds, names).filter(where)

    if not together:
        yield rows(chosen)
        return
    if scan.num_rows <= BLOCK_ROWS:
        yield from _split(pl.concat(rows(chosen)), together)
        return
    counts = pl.concat(
        table.group_by(together, maintain_order=True).len()
        for table in rows(list(dict.fromkeys((*together, *filtered))))
    )
    counts = counts.group_by(together, maintain_order=True).agg(pl.col("len").sum())
    block_of = _blocks(counts)
    with TemporaryDirectory(prefix="retinoscope-rows-") as folder:
        for number, held in enumerate(_together(rows(chosen))):
            placed = held.join(block_of, on=together, nulls_equal=True, maintain_order="left")
            for (block,), some in placed.group_by("_block", maintain_order=True):
                some.drop("_block").write_ipc(
                    f"{folder}/{block}-{number:06}.arrow", compression="lz4"
                )
        for (block,), some in block_of.group_by("_block", maintain_order=True):
            files = f"{folder}/{block}-*.arrow"
            if some.height == 1:
                yield (pl.read_ipc(file) for file in sorted(glob(files)))
            else:
                yield from _split(pl.read_ipc(files), together)


def _together(tables: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Yields the same rows, about `BLOCK_ROWS` at a time."""
    held: list[pl.DataFrame] = []
    for table in tables:
        held.append(table)
        if sum(frame.height for frame in held) >= BLOCK_ROWS / 2:
            yield pl.concat(held)
            held.clear()
    if held:
        yield pl.concat(held)


def frame_of(table: pa.Table, kinds: Columns, names: Sequence[str]) -> pl.DataFrame:
    """Returns the named columns, each of its kind; missing ones are empty."""
    chosen = table.select([name for name in names if name in table.column_names])
    for name in names:
        if name not in chosen.column_names:
            chosen = chosen.append_column(name, pa.nulls(table.num_rows))
    frame = cast("pl.DataFrame", pl.from_arrow(chosen))
    return frame.select(pl.col(name).cast(_HELD[kinds[name]]) for name in names)


def _split(rows: pl.DataFrame, together: list[str]) -> Iterator[list[pl.DataFrame]]:
    # One at a time: all at once would be a second copy of all rows.
    yield from ([part] for _, part in rows.group_by(together, maintain_order=True))


def _blocks(counts: pl.DataFrame) -> pl.DataFrame:
    """Numbers the parts; one number stands for at most `BLOCK_ROWS` rows, or for a single part."""
    number = held = 0
    numbers = []
    for size in counts["len"]:
        if held and held + size > BLOCK_ROWS:
            number, held = number + 1, 0
        held += size
        numbers.append(number)
    return counts.drop("len").with_columns(pl.Series("_block", numbers, pl.UInt32))
