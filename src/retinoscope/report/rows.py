"""Access to the rows of summaries: selection by key, intervals from columns."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..stats import Interval
from .blocks import Record, Value


def pick(rows: Iterable[Record], **keys: Value) -> list[Record]:
    """The rows that have all of these values."""
    return [row for row in rows if all(row.get(k) == v for k, v in keys.items())]


def first(rows: Iterable[Record], **keys: Value) -> Record | None:
    return next(iter(pick(rows, **keys)), None)


def number(row: Record, key: str) -> float | None:
    """A column as a number, None where it is missing or not a number."""
    value = row.get(key)
    if value is None or isinstance(value, str):
        return None
    return None if value != value else float(value)


def interval(row: Record | None, name: str, n: str = "n") -> Interval | None:
    """Columns `name`, `name_low`, `name_high`; None where the study had nothing to estimate.

    The ends are NaN where there are too few images for an interval.

    Args:
        n: the column that says of how many cases.
    """
    if row is None:
        return None
    middle, low, high = (number(row, name + end) for end in ("", "_low", "_high"))
    if middle is None:
        return None
    return Interval(
        middle,
        math.nan if low is None else low,
        math.nan if high is None else high,
        int(number(row, n) or 0),
        int(number(row, "n_images") or number(row, "n_samples") or 0),
        0.95,
        "as the summary has it",
    )


def band(row: Record | None, name: str) -> Interval | None:
    """An estimate with the simultaneous band of its curve, from `name_band_low` and
    `name_band_high`; the ends are NaN where there is none."""
    x = interval(row, name)
    if row is None or x is None:
        return None
    low, high = (number(row, f"{name}_band_{end}") for end in ("low", "high"))
    if low is None or high is None:
        low = high = math.nan
    return replace(x, low=low, high=high)


def values(rows: Iterable[Record], key: str) -> list[Value]:
    """The distinct values of a column, in order of appearance."""
    return list(dict.fromkeys(row.get(key) for row in rows))


def known_first(names: Iterable[Value], known: Sequence[str]) -> list[str]:
    """`names` in the order of `known`, with unknown ones at the end."""
    names = [str(name) for name in names]
    return [n for n in known if n in names] + [n for n in names if n not in known]
