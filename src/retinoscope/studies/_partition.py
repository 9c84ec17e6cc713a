"""Summaries of tables that do not fit into memory: a few of their groups at a time.

A summary looks at some rows together (a condition and its control). `Partition` says which: rows of
one part are given to the summary as one table, and the records of all parts, put in order, are what
the summary would have made of the whole table. results.parquet is read once to count the rows of
each part, then once for every `BLOCK_ROWS` of them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ..store import ResultsScan
from ._tables import Cell

BLOCK_ROWS = 500_000
"""Rows that are held at once, of some dozen columns; one part is never cut."""

ITEM = ("sample", "item", "error")
PROBABILITIES = ("probability_before", "probability_after")

Part = Hashable
Order = Callable[[Mapping[str, Any]], Any]


@dataclass(frozen=True)
class Partition:
    """Which rows a summary has to see together.

    Attributes:
        summary: makes a table of records from rows.
        keys: columns that say which part a row belongs to.
        part: of these columns' values; None for rows that the summary does not look at.
        columns: further columns that the summary reads.
        order: sorts the records of all parts.
        plain: text comes as text; else as dictionaries, which take a tenth of the memory.
        finish: what is done to all records together, such as correcting p values of a curve whose
            rows are in several parts. The summary of a part has done it to its own.
    """

    summary: Callable[[pa.Table], pa.Table]
    keys: tuple[str, ...]
    part: Callable[..., Part | None]
    columns: tuple[str, ...]
    order: Order
    finish: Callable[[Sequence[Mapping[str, Any]]], Sequence[Mapping[str, Any]]] | None = None
    plain: bool = True

    @property
    def conditions(self) -> tuple[str, ...]:
        """The columns that say what a record is of."""
        return (*self.keys, "layer", "metric", "measure")

    def over(self, scan: ResultsScan, kinds: object = None) -> pa.Table:
        """The summary of all rows.

        Raises:
            InputError: a damaged file.
        """
        # What reading takes stays in Arrow's pool, and would be held beside what comes next.
        pa.default_memory_pool().release_unused()
        counts = self._counts(scan)
        records = [
            record
            for block in _blocks(counts)
            for table in self._tables(scan, block)
            for record in self.summary(table).to_pylist()
        ]
        records.sort(key=self.order)
        if self.finish is not None:
            records = [dict(record) for record in self.finish(records)]
        empty = self.summary(scan.schema.empty_table())
        return pa.Table.from_pylist(records, schema=empty.schema)

    def _counts(self, scan: ResultsScan) -> dict[Part, int]:
        """Rows of each part, the parts in order of first appearance."""
        counts: dict[Part, int] = {}
        for table in scan.tables(self.keys):
            numbers, parts = self._numbers(table)
            found = np.bincount(numbers + 1, minlength=len(parts) + 1)[1:]
            # Within a table parts are numbered by code; their order is that of their first rows.
            first = np.full(len(parts), table.num_rows)
            np.minimum.at(first, numbers[numbers >= 0], np.flatnonzero(numbers >= 0))
            for number in np.argsort(first, kind="stable"):
                if found[number]:
                    part = parts[number]
                    counts[part] = counts.get(part, 0) + int(found[number])
        return counts

    def _tables(self, scan: ResultsScan, block: Sequence[Part]) -> Iterator[pa.Table]:
        """The rows of each part in `block`."""
        place = {part: number for number, part in enumerate(block)}
        held: list[pa.Table] = []
        numbers: list[np.ndarray] = []
        for table in scan.tables([*self.keys, *self.columns]):
            local, parts = self._numbers(table)
            lookup = np.array([*(place.get(part, -1) for part in parts), -1])
            number = lookup[local]
            rows = np.flatnonzero(number >= 0)
            if len(rows):
                held.append(table.take(pa.array(rows)))
                numbers.append(number[rows])
        if not held:
            return
        whole = pa.concat_tables(held).unify_dictionaries()
        held.clear()
        if len(block) == 1:
            # The rows of a single part are all there are, in their order.
            numbers.clear()
            table = None
            pa.default_memory_pool().release_unused()
            yield _plain(whole) if self.plain else whole
            return
        number = np.concatenate(numbers)
        pa.default_memory_pool().release_unused()
        order = np.argsort(number, kind="stable")
        ends = np.searchsorted(number[order], np.arange(len(block)), side="right")
        start = 0
        for end in ends.tolist():
            part = whole.take(pa.array(order[start:end]))
            yield _plain(part) if self.plain else part
            start = end

    def _numbers(self, table: pa.Table) -> tuple[np.ndarray, list[Part | None]]:
        """Of each row the number of its part, -1 for none, and the parts by number."""
        known = [name for name in self.keys if name in table.column_names]
        code = np.zeros(table.num_rows, np.int64)
        values: list[list[Cell]] = []
        for name in known:
            column = table[name].combine_chunks()
            if isinstance(column, pa.ChunkedArray):
                column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.nulls(0)
            coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
            words = coded.dictionary.to_pylist()
            indices = coded.indices.fill_null(len(words)).to_numpy(zero_copy_only=False)
            code = code * (len(words) + 1) + indices
            values.append([*words, None])
        found, number = np.unique(code, return_inverse=True)
        parts: list[Part | None] = []
        numbers: list[int] = []
        for one in found.tolist():
            cells: dict[str, Cell] = dict.fromkeys(self.keys)
            for name, words in zip(reversed(known), reversed(values), strict=True):
                one, rest = divmod(one, len(words))
                cells[name] = words[rest]
            part = self.part(*cells.values())
            numbers.append(-1 if part is None else len(parts))
            parts += [] if part is None else [part]
        return np.array(numbers, np.int64)[number] if numbers else number, parts


def _blocks(counts: Mapping[Part, int]) -> Iterator[list[Part]]:
    block: list[Part] = []
    rows = 0
    for part, count in counts.items():
        if block and rows + count > BLOCK_ROWS:
            yield block
            block, rows = [], 0
        block.append(part)
        rows += count
    if block:
        yield block


def _plain(table: pa.Table) -> pa.Table:
    """Text as text."""
    for index, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            column = table.column(index).cast(pa.string())
            table = table.set_column(index, field.name, column)
    return table
