"""Table cells, checked by pydantic: empty cells are None, digits in a text are a number."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import BeforeValidator, Field

from .schema import Coordinate, Name


def empty_as_none(value: object) -> object:
    """None for an empty cell, which parquet may store as NaN."""
    blank = value is None or (isinstance(value, str) and not value.strip())
    return None if blank or (isinstance(value, float) and math.isnan(value)) else value


def as_text(value: object) -> object:
    """A number as a text, since tables write ids and answers in digits."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return empty_as_none(str(value) if plain and empty_as_none(value) is not None else value)


def as_number(value: object) -> object:
    """The number that a text stands for, if it does."""
    value = empty_as_none(value)
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def as_numbers(value: object) -> object:
    """The numbers of a list, or of a text such as "[1, 2]", "1,2" or "1 2"."""
    value = empty_as_none(value)
    if isinstance(value, str):
        value = value.strip().strip("[]").strip()
        return [as_number(part) for part in re.split(r"[\s,]+", value) if part]
    return [value] if isinstance(value, int | float) else value


def as_whole(value: object) -> object:
    """A whole number; texts give floats, and 1.0 counts as 1."""
    value = as_number(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def as_wholes(values: object) -> object:
    """A list of whole numbers, or the text of one."""
    values = as_numbers(values)
    if not isinstance(values, Sequence) or isinstance(values, str):
        return values
    return [as_whole(value) for value in values]


Text = Annotated[Name | None, BeforeValidator(as_text)]
Number = Annotated[Coordinate | None, BeforeValidator(as_number)]
Whole = Annotated[Annotated[int, Field(ge=0, lt=2**53)] | None, BeforeValidator(as_whole)]
"""A whole number from 0 up."""
