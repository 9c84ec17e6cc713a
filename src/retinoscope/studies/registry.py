"""The studies, in the order of a report; each is the folder of its name.

A folder holds the parts that the rest of the package finds here:

options.py    OPTIONS, a dataclass of what can be chosen; its docstring is the command's help
study.py      the `Study`: what is asked of one sample, and the rows that come of it;
              `make` makes it from options
summary.py    SUMMARY and EXTRAS: which rows each summary looks at together
section.py    NOUN, its name in a title; TABLE_NOTE, what the columns are; and `section`,
              what the report says and shows

They are imported when they are asked for, so that a report of one study does not load the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..data import Sample
    from ..engine import VLM
    from ..report.blocks import Section
    from ._partition import Partition
    from ._study import Study
    from .columns import Columns
    from .options import StudyOptions
    from .runs import StudyRun

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


def options_of(study: str) -> type[StudyOptions]:
    """What can be chosen."""
    return _part(study, "options").OPTIONS


def make_study(
    study: str,
    vlm: VLM,
    samples: Sequence[Sample],
    options: StudyOptions,
    *,
    seed: int,
    n_examples: int,
) -> Study[Any]:
    """The study that these options ask for."""
    made = _part(study, "study").make
    return made(vlm, samples, options, seed=seed, n_examples=n_examples)


def columns_of(study: str) -> Columns:
    """What kind of value each column of its rows holds."""
    found = getattr(_part(study, "summary"), "COLUMNS", {})
    return found if isinstance(found, dict) else {}


def condition_of(study: str) -> Callable[[Mapping[str, object]], str | None]:
    """Names the edit of a row or a record; None for a row before any, and where there are none."""
    return getattr(_part(study, "options"), "condition", lambda row: None)


def summaries_of(study: str) -> tuple[Partition, dict[str, Partition]]:
    """The study's main summary, and its further ones by name."""
    part = _part(study, "summary")
    return part.SUMMARY, part.EXTRAS


def section_of(study: str, runs: Sequence[StudyRun]) -> Section:
    """What a report says of these runs of the study."""
    return _part(study, "section").section(runs)


def noun_of(study: str) -> str:
    """The study's name in a title."""
    return _part(study, "section").NOUN


def table_note_of(study: str) -> str:
    """What the columns of its summary are, for the viewer."""
    return _part(study, "section").TABLE_NOTE


def _part(study: str, name: str) -> Any:
    return import_module(f".{study}.{name}", __package__)
