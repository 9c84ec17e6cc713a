"""Small helpers for summaries: rows by key, columns with fixed types, intervals as columns."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..stats import Interval, PairedDifference
from ._best import corrected

if TYPE_CHECKING:
    import pyarrow as pa

Cell = str | int | float | bool | None
Record = Mapping[str, Cell]


def records(table: pa.Table, **where: object) -> list[dict[str, Cell]]:
    """Rows without an error as dicts, only those whose columns equal `where`.

    A column that no row of the run could fill is missing or without a type; it reads as None.
    """
    rows = table.to_pylist()
    return [
        row
        for row in rows
        if row.get("error") is None and all(row.get(k) == v for k, v in where.items())
    ]


def grouped(
    rows: Iterable[dict[str, Cell]], keys: Sequence[str]
) -> dict[tuple[Cell, ...], list[dict[str, Cell]]]:
    """Rows by the values of `keys`, in the order of first appearance."""
    groups: dict[tuple[Cell, ...], list[dict[str, Cell]]] = defaultdict(list)
    for row in rows:
        groups[tuple(row.get(key) for key in keys)].append(row)
    return dict(groups)


def rank(order: Sequence[str]) -> dict[str, int]:
    """Position of each name, for sorting."""
    return {name: index for index, name in enumerate(order)}


def estimate(name: str) -> dict[str, str]:
    """Types of the columns that `interval_columns` makes."""
    return dict.fromkeys((name, f"{name}_low", f"{name}_high"), "float")


def interval_columns(name: str, interval: Interval | None) -> dict[str, Cell]:
    """`name`, `name`_low and `name`_high; None where undefined."""
    if interval is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    return {
        name: number(interval.value),
        f"{name}_low": number(interval.low),
        f"{name}_high": number(interval.high),
    }


def banded_columns(name: str, interval: Interval) -> dict[str, Cell]:
    """`interval_columns` and what a band needs besides: `name`_size and `name`_freedom."""
    more = {f"{name}_size": interval.size, f"{name}_freedom": interval.freedom}
    return {**interval_columns(name, interval), **more}


def tested(name: str) -> dict[str, str]:
    """Types of the columns that `tested_columns` makes."""
    return {**estimate(name), f"{name}_p": "float"}


def tested_columns(name: str, difference: PairedDifference | None) -> dict[str, Cell]:
    """`interval_columns` and the p value of the paired test, `name`_p: the verdict on an effect."""
    p = None if difference is None else number(difference.p)
    return {**interval_columns(name, difference), f"{name}_p": p}


def number(value: float | None) -> float | None:
    """None in place of NaN."""
    return None if value is None or math.isnan(value) else float(value)


def make_table(rows: Sequence[Record], types: Mapping[str, str]) -> pa.Table:
    """A table whose columns have the given types ("string", "int", "float"), also without rows."""
    import pyarrow as pa

    kinds = {"string": pa.string(), "int": pa.int64(), "float": pa.float64()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in types.items()])
    plain = [{name: row.get(name) for name in types} for row in rows]
    return pa.Table.from_pylist(plain, schema=schema)


def scanned_types(tests: Sequence[str] = ("difference",)) -> dict[str, str]:
    """Types of the columns that `scanned` fills."""
    return {f"{name}_p_corrected": "float" for name in tests}


def scanned(
    records: Sequence[Record], curve: Sequence[str], tests: Sequence[str] = ("difference",)
) -> list[Record]:
    """Records with p values corrected within each curve, whose rows agree in these columns."""
    curves = [tuple(record.get(name) for name in curve) for record in records]
    return [*corrected([dict(record) for record in records], curves, tests, ())]
