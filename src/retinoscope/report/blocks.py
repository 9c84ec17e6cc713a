"""The parts of a report: sections of sentences, figures, pictures and tables."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

from ..naming import slugify
from ..stats import Interval
from .findings import Finding, listing

__all__ = [
    "PAPER",
    "TO",
    "Column",
    "Figure",
    "Finding",
    "Interval",
    "Record",
    "Section",
    "Table",
    "Value",
    "file_name",
    "listing",
    "number_interval",
    "percent",
    "percent_interval",
    "python_lines",
]

PAPER = "LLaVA-1.5-7B on COCO"
"""The model and data that the paper's numbers refer to."""

TO = "\u2013"
"""En dash, for ranges."""

Value = str | int | float | bool | None
Record = Mapping[str, Value]


@dataclass(frozen=True)
class Figure:
    """A drawing. `svg` is a whole SVG document with plain colours; the page restyles it.

    `code` is a Python program that draws the same figure from the run directory, to be run in the
    report's folder; see `python_lines`.
    """

    name: str
    svg: str
    alt: str
    caption: str
    wide: bool = True
    code: str = ""


def python_lines(place: str, body: str, table: str = "summary()") -> str:
    """A program that draws a figure from a run's table, for `Figure.code`.

    Args:
        place: the run's folder, relative to the report's.
        body: its code; `rows` are the table's rows as dicts, `plt` is matplotlib's.
        table: which table of the run's results.
    """
    head = (
        "# Run this in the folder of the report.\n"
        "import matplotlib.pyplot as plt\n"
        "import retinoscope as rs\n\n"
        f"rows = rs.studies.open_results({place!r}).{table}.to_pylist()\n"
    )
    return head + body.strip("\n") + "\n"


@dataclass(frozen=True)
class Column:
    """A column of a table on the page; numbers are right-aligned."""

    label: str
    numeric: bool = True
    hint: str = ""


@dataclass(frozen=True)
class Table:
    """`rows` are texts for the page; `records` are the same at full precision, for the CSV file."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    records: tuple[Record, ...]
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """One experiment: the question, the results, and how to read them."""

    key: str
    title: str
    question: str
    sentences: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    finding: Finding | None = None


@dataclass(frozen=True)
class ShownAnswer:
    """An answer of the model, and the edit before it."""

    when: str
    text: str


@dataclass(frozen=True)
class Picture:
    """One example: its drawings, and the answers before and after an edit."""

    title: str
    text: str
    figures: tuple[Figure, ...]
    answers: tuple[ShownAnswer, ...] = ()


@dataclass(frozen=True)
class RunFacts:
    """One study's manifest, formatted for the page."""

    title: str
    entries: tuple[tuple[str, str], ...]


def percent(share: float) -> str:
    """0.934 -> "93%"; shares near 0 or 1 never print as exactly 0% or 100%."""
    if share != share:
        return "n/a"
    if 0 < share < 0.01 or 0.99 < share < 1:
        return f"{100 * share:.1f}%"
    return f"{100 * share:.0f}%"


def percent_interval(x: Interval) -> str:
    """ "93% (90-96)", with an en dash; the value alone where there is no interval."""
    if math.isnan(x.low):
        return percent(x.value)
    return f"{percent(x.value)} ({percent(x.low)[:-1]}{TO}{percent(x.high)[:-1]})"


def number_interval(x: Interval, digits: int = 2) -> str:
    """ "0.45 (0.38-0.52)", with an en dash; "-0.45 (-0.52 to -0.38)"."""
    # Avoids "-0".
    value, low, high = (round(end, digits) + 0.0 for end in (x.value, x.low, x.high))
    if math.isnan(low):
        return f"{value:.{digits}f}"
    to = " to " if low < 0 else TO
    return f"{value:.{digits}f} ({low:.{digits}f}{to}{high:.{digits}f})"


def signed(x: Interval, digits: int = 2, scale: float = 1.0) -> str:
    """ "+0.13 (-0.01 to +0.17)", for a difference; an en dash between signs would be unreadable."""
    # Avoids "-0".
    value, low, high = (round(scale * end, digits) + 0.0 for end in (x.value, x.low, x.high))
    if math.isnan(low):
        return f"{value:+.{digits}f}"
    return f"{value:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"


_LONGEST_NAME = 120


def file_name(*parts: str) -> str:
    """Joins names of models, folders and the like to a file name of limited length."""
    name = slugify("-".join(parts), keep="_.+")
    if len(name) <= _LONGEST_NAME:
        return name
    # Most file systems allow 255 bytes; the hash keeps names apart that begin alike.
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: _LONGEST_NAME - 9]}-{digest}"
