"""Tables whose columns say what they hold: a label, a unit, and how a cell is written.

    table(name, caption, rows, [text("weights"), shares("accuracy", "right"), count("n")])

A row is a record of a summary, or whatever else the columns' writers take. The first column names
the row; it stays in view when the table is wider than the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .blocks import Column, Record, Table, number_interval, percent, percent_interval
from .rows import interval, number

Write = Callable[[Any], str]
"""The text of a cell, made from a row."""
Spec = tuple[Column, Write]
"""A column, and how its cells are written."""


def table(
    name: str,
    caption: str,
    rows: Iterable[Any],
    columns: Sequence[Spec],
    records: Sequence[Record] | None = None,
    folded: bool = False,
) -> Table:
    """A table with one line for each of `rows`.

    Args:
        records: what the CSV file holds; the rows themselves if None.
    """
    rows = tuple(rows)
    return Table(
        name=name,
        caption=caption,
        columns=tuple(column for column, _ in columns),
        rows=tuple(tuple(write(row) for _, write in columns) for row in rows),
        records=rows if records is None else tuple(records),
        folded=folded,
    )


def cell(label: str, write: Write, *, numeric: bool = True, hint: str = "") -> Spec:
    """A column whose cells `write` makes."""
    return Column(label, numeric, hint), write


def text(of: str, label: str | None = None, names: Mapping[str, str] | None = None) -> Spec:
    """A column of words.

    Args:
        of: the record's column.
        label: by default `of`.
        names: what is written in place of some words.
    """
    known = names or {}
    return Column(of if label is None else label, numeric=False), lambda row: known.get(
        str(row[of]), str(row[of])
    )


def count(of: str, label: str | None = None) -> Spec:
    """A column of whole numbers."""
    return Column(of if label is None else label), lambda row: _or_empty(row[of])


def share(of: str, label: str | None = None) -> Spec:
    """A column of shares without intervals, as percentages."""
    return Column(
        of if label is None else label
    ), lambda row: "" if (x := number(row, of)) is None else percent(x)


def shares(of: str, label: str | None = None, hint: str = "") -> Spec:
    """A column of shares with their 95% intervals, as percentages; empty where undefined."""
    return Column(
        of if label is None else label, hint=hint
    ), lambda row: "" if (x := interval(row, of)) is None else percent_interval(x)


def numbers(of: str, label: str | None = None, digits: int = 2, hint: str = "") -> Spec:
    """A column of numbers with their 95% intervals; empty where undefined."""
    return Column(
        of if label is None else label, hint=hint
    ), lambda row: "" if (x := interval(row, of)) is None else number_interval(x, digits)


def plain_number(of: str, label: str | None = None, digits: int = 2, hint: str = "") -> Spec:
    """A column of numbers without intervals; empty where undefined."""
    return Column(
        of if label is None else label, hint=hint
    ), lambda row: "" if (x := number(row, of)) is None else f"{x:.{digits}f}"


def whole_table(name: str, caption: str, rows: Sequence[Record], folded: bool = True) -> Table:
    """A summary as it is, every column shown."""
    columns = [
        cell(
            str(key).replace("_", " "),
            lambda row, key=key: _as_it_is(row.get(key)),
            numeric=not any(isinstance(row.get(key), str) for row in rows),
        )
        for key in (rows[0] if rows else ())
    ]
    return table(name, caption, rows, columns, folded=folded)


def _or_empty(value: object) -> str:
    return "" if value is None else str(value)


def _as_it_is(value: object) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".") or "0"
    return str(value)
