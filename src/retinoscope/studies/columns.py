"""The kinds of values in the columns of a study's rows; standard library only."""

from __future__ import annotations

from collections.abc import Mapping

Kind = str
"""One of the kinds below; error messages use its value."""
Columns = Mapping[str, Kind]
"""Column -> kind, in the order of results.parquet. A column that no row fills has no kind."""

TEXT: Kind = "texts"
WHOLE: Kind = "whole numbers"
NUMBER: Kind = "numbers"
TRUTH: Kind = "true or false"
TEXTS: Kind = "lists of texts"
WHOLES: Kind = "lists of whole numbers"
NUMBERS: Kind = "lists of numbers"
LISTS: Mapping[Kind, Kind] = {TEXTS: TEXT, WHOLES: WHOLE, NUMBERS: NUMBER}
"""Kind of list -> the kind of its items."""


def columns(kind: Kind, names: str) -> dict[str, Kind]:
    """Returns columns of one kind; names are separated by blanks."""
    return dict.fromkeys(names.split(), kind)
