"""The studies, in the order of a report; each is the folder of its name.

A folder holds the parts that the rest of the package finds here:

study.py      the `Study`: what is asked of one sample, and the rows that come of it
summary.py    SUMMARY and EXTRAS: which rows each summary looks at together
section.py    NOUN, its name in a title, and `section`: what the report says and shows

They are imported when they are asked for, so that a report of one study does not load the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from ..report.blocks import Section
from ._partition import Partition

if TYPE_CHECKING:
    from .runs import StudyRun

STUDIES = (
    "ablation",
    "lens",
    "knockout",
    "flow",
    "look",
    "reprompt",
    "probe",
    "group",
    "spurious",
    "alignment",
    "attend",
)


def summaries_of(study: str) -> tuple[Partition, dict[str, Partition]]:
    """The study's main summary, and its further ones by name."""
    part = import_module(f".{study}.summary", __package__)
    return part.SUMMARY, part.EXTRAS


def section_of(study: str, runs: Sequence[StudyRun]) -> Section:
    """What a report says of these runs of the study."""
    return import_module(f".{study}.section", __package__).section(runs)


def noun_of(study: str) -> str:
    """The study's name in a title."""
    return import_module(f".{study}.section", __package__).NOUN
