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
    return cell(
        of if label is None else label,
        lambda row: known.get(str(row[of]), str(row[of])),
        numeric=False,
    )


def count(of: str, label: str | None = None) -> Spec:
    """A column of whole numbers."""
    return _defined(of, label, lambda row: row[of], str)


def share(of: str, label: str | None = None) -> Spec:
    """A column of shares without intervals, as percentages."""
    return _defined(of, label, lambda row: number(row, of), percent)


def shares(of: str, label: str | None = None, hint: str = "") -> Spec:
    """A column of shares with their 95% intervals, as percentages."""
    return _defined(of, label, lambda row: interval(row, of), percent_interval, hint)


def numbers(of: str, label: str | None = None, digits: int = 2, hint: str = "") -> Spec:
    """A column of numbers with their 95% intervals."""
    return _defined(
        of, label, lambda row: interval(row, of), lambda x: number_interval(x, digits), hint
    )


def plain_number(of: str, label: str | None = None, digits: int = 2, hint: str = "") -> Spec:
    """A column of numbers without intervals."""
    return _defined(of, label, lambda row: number(row, of), lambda x: f"{x:.{digits}f}", hint)


def _defined(
    of: str,
    label: str | None,
    read: Callable[[Record], Any],
    write: Callable[[Any], str],
    hint: str = "",
) -> Spec:
    """A column named after `of`, whose cells are empty where `read` finds nothing."""
    return cell(
        of if label is None else label,
        lambda row: "" if (value := read(row)) is None else write(value),
        hint=hint,
    )


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


def _as_it_is(value: object) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".") or "0"
    return str(value)
