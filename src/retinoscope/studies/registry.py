"""The studies, in the order of a report; each is the folder of its name.

A folder holds the parts that the rest of the package finds here:

options.py    OPTIONS, a dataclass of its options; its docstring is the command's help;
              `condition`, if its rows are of edits: the edit of a row in words
study.py      the `Study`: what is asked about a sample, and the rows that result;
              `make` makes it from options
summary.py    COLUMNS of its rows; SUMMARY and EXTRAS, its tables
section.py    NOUN, its name in a title; TABLE_NOTE, the meaning of the columns; and `section`,
              its part of the report; VIEWS, what the viewer can show besides tables

and, optionally,

highlights.py `highlights`: images of a run for the top of the report
paper.py      NUMBERS that a paper gives for it
planted.py    `measure`: its results on a model whose mechanism is known

They are imported on demand, so that a report of one study does not load the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from ._paper import PaperNumber
    from .columns import Columns
    from .options import StudyOptions
    from .summary import SummaryTable

STUDIES: dict[str, str | None] = {
    "ablation": "ablate",
    "lens": "lens",
    "knockout": "knockout",
    "flow": "flow",
    "look": "word-attention",
    "reprompt": "reprompt",
    "probe": "probe",
    "group": "group",
    "spurious": None,
    "alignment": None,
    "attend": "saliency",
    "interfaces": "interfaces",
}
"""Each study's command, made from its options; None if another study's command runs it too
(`group --preset spurious`, `saliency` on data with gazes)."""
FORMER_COMMANDS = {"look": "look", "attend": "attend"}
"""Former names of some commands; they still work, but `--help` does not list them."""

Planted = Literal["flow", "knockout", "ablation", "lens", "probe", "group"]
PLANTED: tuple[str, ...] = get_args(Planted)
"""Studies that are checked on the planted models, by their planted.py."""


def options_of(study: str) -> type[StudyOptions]:
    """Returns the study's class of options."""
    return part(study, "options").OPTIONS


def columns_of(study: str) -> Columns:
    """Returns the kind of each column of the study's rows."""
    return part(study, "summary").COLUMNS


def condition_of(study: str) -> Callable[[Mapping[str, object]], str | None]:
    """Returns a function that names the edit of a row; None for a row without an edit."""
    options = part(study, "options") if has_part(study, "options") else None
    return getattr(options, "condition", lambda row: None)


def summaries_of(study: str) -> tuple[SummaryTable, dict[str, SummaryTable]]:
    """Returns the study's main summary, and its further ones by name."""
    summary = part(study, "summary")
    return summary.SUMMARY, summary.EXTRAS


def noun_of(study: str) -> str:
    """Returns the study's name in a title."""
    return part(study, "section").NOUN


def table_note_of(study: str) -> str:
    """Returns the meaning of its summary's columns, for the viewer."""
    return part(study, "section").TABLE_NOTE


def views_of(study: str) -> tuple[str, ...]:
    """Returns what the viewer can show of it besides tables: "flow", "maps"."""
    return getattr(part(study, "section"), "VIEWS", ())


def paper_numbers(study: str) -> tuple[PaperNumber, ...]:
    """Returns what a paper reports for a study's summary; empty if nothing is known."""
    return part(study, "paper").NUMBERS if has_part(study, "paper") else ()


def paper_number(study: str, **row: object) -> PaperNumber | None:
    """Returns the paper's number for one record of a summary, or None if it is not known.

    Args:
        study: name of the study.
        row: columns of the record, at least those that identify the number.
    """
    from ._paper import find

    return find(paper_numbers(study), row)


def part(study: str, name: str) -> Any:
    """Returns a module of the study's folder."""
    return import_module(f".{study}.{name}", __package__)


def has_part(study: str, name: str) -> bool:
    """Whether the study's folder has this module."""
    return find_spec(f".{study}.{name}", __package__) is not None
