"""The studies, in the order of a report; each is the folder of its name.

A folder holds the parts that the rest of the package finds here:

options.py    OPTIONS, a dataclass of what can be chosen; its docstring is the command's help
study.py      the `Study`: what is asked of one sample, and the rows that come of it;
              `make` makes it from options
summary.py    COLUMNS of its rows; SUMMARY and EXTRAS, its tables
section.py    NOUN, its name in a title; TABLE_NOTE, what the columns are; and `section`,
              what the report says and shows; VIEWS, what the viewer can show besides tables

and, where it has them,

highlights.py `highlights`: images of a run for the top of the report
paper.py      NUMBERS that a paper gives for it
planted.py    `measure`: what it finds on a model whose mechanism is known

They are imported when they are asked for, so that a report of one study does not load the others.
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
    "look": "look",
    "reprompt": "reprompt",
    "probe": "probe",
    "group": "group",
    "spurious": None,
    "alignment": None,
    "attend": "attend",
}
"""Each study's command, made from its options; None where another study's command runs it too
(`group --preset spurious`, `attend` on data with gazes)."""

Planted = Literal["flow", "knockout", "ablation", "lens", "probe", "group"]
PLANTED: tuple[str, ...] = get_args(Planted)
"""Studies that are tried on the planted models, by their planted.py."""


def options_of(study: str) -> type[StudyOptions]:
    """What can be chosen."""
    return part(study, "options").OPTIONS


def columns_of(study: str) -> Columns:
    """What kind of value each column of its rows holds."""
    return part(study, "summary").COLUMNS


def condition_of(study: str) -> Callable[[Mapping[str, object]], str | None]:
    """Names the edit of a row or a record; None for a row before any, and where there are none."""
    return getattr(part(study, "options"), "condition", lambda row: None)


def summaries_of(study: str) -> tuple[SummaryTable, dict[str, SummaryTable]]:
    """The study's main summary, and its further ones by name."""
    summary = part(study, "summary")
    return summary.SUMMARY, summary.EXTRAS


def noun_of(study: str) -> str:
    """The study's name in a title."""
    return part(study, "section").NOUN


def table_note_of(study: str) -> str:
    """What the columns of its summary are, for the viewer."""
    return part(study, "section").TABLE_NOTE


def views_of(study: str) -> tuple[str, ...]:
    """What the viewer can show of it besides tables: "flow", "maps"."""
    return getattr(part(study, "section"), "VIEWS", ())


def paper_numbers(study: str) -> tuple[PaperNumber, ...]:
    """What a paper reports for a study's summary; empty where nothing is known."""
    return part(study, "paper").NUMBERS if has_part(study, "paper") else ()


def paper_number(study: str, **row: object) -> PaperNumber | None:
    """The paper's number for one record of a summary, or None where it is not known.

    Args:
        row: columns of the record, all that the number is of and maybe others.
    """
    from ._paper import find

    return find(paper_numbers(study), row)


def part(study: str, name: str) -> Any:
    """A module of the study's folder."""
    return import_module(f".{study}.{name}", __package__)


def has_part(study: str, name: str) -> bool:
    """Whether the study's folder has this module."""
    return find_spec(f".{study}.{name}", __package__) is not None
