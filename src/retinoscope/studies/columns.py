"""What kind of value each column of a study's rows holds; standard library only."""

from __future__ import annotations

from collections.abc import Mapping

Kind = str
"""One of those below, as it is called where a column holds another."""
Columns = Mapping[str, Kind]
"""In the order in which they stand in results.parquet. A column that no row fills holds nothing."""

TEXT: Kind = "texts"
WHOLE: Kind = "whole numbers"
NUMBER: Kind = "numbers"
TRUTH: Kind = "true or false"
TEXTS: Kind = "lists of texts"
WHOLES: Kind = "lists of whole numbers"
NUMBERS: Kind = "lists of numbers"
LISTS: Mapping[Kind, Kind] = {TEXTS: TEXT, WHOLES: WHOLE, NUMBERS: NUMBER}
"""What each kind of list holds."""


def columns(kind: Kind, names: str) -> dict[str, Kind]:
    """Columns of one kind, their names separated by blanks."""
    return dict.fromkeys(names.split(), kind)
