"""Rows as columns: for tables of so many rows that a dict for each would not fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int

from ._tables import Cell

if TYPE_CHECKING:
    import pyarrow as pa


def without_errors(table: pa.Table, **where: Cell) -> pa.Table:
    """Rows without an error, only those whose columns equal `where`.

    A column that no row of the run could fill is missing, and equals nothing.
    """
    import pyarrow.compute as pc

    if "error" in table.column_names:
        table = table.filter(table["error"].is_null())
    for name, value in where.items():
        if name not in table.column_names:
            return table.slice(0, 0)
        table = table.filter(pc.equal(table[name], value))  # type: ignore[attr-defined]
    return table


def split(
    table: pa.Table, keys: Sequence[str]
) -> Iterator[tuple[tuple[Cell, ...], Int[np.ndarray, " row"]]]:
    """The values of `keys` and the numbers of the rows that have them, in order of appearance."""
    whole = np.zeros(table.num_rows, np.int64)
    for name in keys:
        code, words = coded(table, name)
        whole = whole * (len(words) + 1) + code
    _, first, number = np.unique(whole, return_index=True, return_inverse=True)
    order = np.argsort(number, kind="stable")
    ends = np.cumsum(np.bincount(number, minlength=len(first)))
    for group in np.argsort(first, kind="stable"):
        rows = order[(ends[group - 1] if group else 0) : ends[group]]
        yield tuple(table[name][int(rows[0])].as_py() for name in keys), rows


def coded(table: pa.Table, name: str) -> tuple[Int[np.ndarray, " row"], list[Any]]:
    """A column's values by their places in the sorted list of them; undefined ones come last."""
    column = table[name].dictionary_encode().combine_chunks()
    words = column.dictionary.to_pylist()
    order = sorted(range(len(words)), key=words.__getitem__)
    place = np.empty(len(words) + 1, np.int32)
    place[order] = np.arange(len(words))
    place[-1] = len(words)
    return place[column.indices.fill_null(len(words)).to_numpy()], sorted(words)


def numeric(table: pa.Table, name: str, undefined: float = np.nan) -> np.ndarray:
    """A column of numbers or booleans."""
    import pyarrow as pa

    column = table[name].combine_chunks()
    if pa.types.is_boolean(column.type):
        return column.to_numpy(zero_copy_only=False).astype(bool)
    return column.cast(pa.float64()).fill_null(undefined).to_numpy()
