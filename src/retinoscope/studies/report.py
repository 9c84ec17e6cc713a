"""The report of finished studies: one section each, and what was run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..report.blocks import Finding, Picture, Section, listing
from ..report.page import Page
from ..tokens import COMPLETE
from ._methods import DEFINITIONS, facts_of
from ._outside import evaluating
from .registry import STUDIES, has_part, noun_of, part
from .runs import StudyRun, collect, of_study

WORDS_SHOWN = 10
NOTHING = "nothing to report: no answer was right before any edit, or no measure was defined"


@dataclass(frozen=True)
class Report:
    """A report that is composed but not written yet.

    `failures` are run, sample and reason of everything that could not be evaluated; `title` and
    `lead` are at the top, made from the studies if empty.
    """

    folder: Path
    runs: tuple[StudyRun, ...]
    sections: tuple[Section, ...]
    failures: tuple[tuple[str, str, str], ...]
    title: str = ""
    lead: str = ""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The results in one sentence each, as at the top of the page."""
        return tuple(section.finding for section in self.sections if section.finding)

    @property
    def page(self) -> Page:
        """The page to be written."""
        models = list(dict.fromkeys(run.model for run in self.runs))
        return Page(
            title=self.title or _title(self.sections),
            lead=self.lead or _lead(self.runs, models),
            facts=_facts(self.runs, models),
            sections=self.sections,
            failures=self.failures,
            pictures=_pictures(self.runs),
            definitions=DEFINITIONS,
            runs=facts_of(self.runs),
        )

    def write(self) -> Path:
        """Writes the page, its tables and its figures; returns the page's path.

        Raises:
            InputError: the folder cannot be written, or the disk is full.
        """
        with evaluating(self.folder):
            return self.page.write(self.folder)


def of_studies(root: Path) -> Report:
    """Composes the report of the studies in `root`.

    Raises:
        InputError: there is no run directory, an unfinished or damaged one, or nothing was
            measured.
    """
    runs = collect(root)
    failures = [(run.place, s, why) for run in runs for s, why in run.results.errors()]
    failures += [(run.place, "all", NOTHING) for run in runs if not run.summary]
    return Report(root, runs, sections_of(runs), tuple(failures))


def sections_of(runs: Sequence[StudyRun]) -> tuple[Section, ...]:
    """Returns one section per study that was run, in the paper's order."""
    by_study = {study: [run for run in of_study(runs, study) if run.summary] for study in STUDIES}
    sections = tuple(
        part(study, "section").section(measured) for study, measured in by_study.items() if measured
    )
    if not sections:
        raise InputError(
            "expected at least one study with results, but no answer was right before any edit, or "
            "no measure was defined: check that the model fits the data (see results.parquet)"
        )
    return sections


def _pictures(runs: Sequence[StudyRun]) -> tuple[Picture, ...]:
    """Returns images of the first run of each study that has any."""
    return tuple(
        picture
        for study in STUDIES
        if has_part(study, "highlights")
        for run in of_study(runs, study)[:1]
        for picture in part(study, "highlights").highlights(run)
    )


def _title(sections: Sequence[Section]) -> str:
    done = listing([noun_of(section.key) for section in sections])
    return done[0].upper() + done[1:]


def _lead(runs: Sequence[StudyRun], models: Sequence[str]) -> str:
    n = max(run.n_samples for run in runs)
    others = f"; contrast models: {listing(models[1:])}" if len(models) > 1 else ""
    return (
        f"How {models[0]} sees {n} images{others}. Each effect is reported with its control, its "
        "sample size and a 95% interval; a paired test decides what is claimed."
    )


def _facts(runs: Sequence[StudyRun], models: Sequence[str]) -> list[tuple[str, str]]:
    def several(values: Sequence[object]) -> str:
        return ", ".join(str(value) for value in dict.fromkeys(values))

    sizes = sorted({run.n_samples for run in runs})
    images = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    return [
        ("models" if len(models) > 1 else "model", ", ".join(models)),
        ("studies", several([run.study for run in runs])),
        ("images in each study", images),
        ("seed", several([run.seed for run in runs])),
        ("computed in", several([_computed(run) for run in runs])),
        *_unknown(runs),
        *_incomplete(runs),
    ]


def _unknown(runs: Sequence[StudyRun]) -> list[tuple[str, str]]:
    """Returns the fact on questions that models cannot read."""
    unknown = [(run.label, *run.results.unknown_words) for run in runs]
    lines = [
        f"{count} questions of {label} ({', '.join(words[:WORDS_SHOWN])}"
        f"{', ...' if len(words) > WORDS_SHOWN else ''})"
        for label, count, words in unknown
        if count
    ]
    return [("words that the model does not know", "; ".join(lines))] if lines else []


def _incomplete(runs: Sequence[StudyRun]) -> list[tuple[str, str]]:
    """Returns the fact on integrated gradients that do not add up."""
    counts = [(run, *run.incomplete) for run in runs]
    lines = [
        f"{count} of {every} rows of {run.label} ({run.study})"
        for run, count, every in counts
        if count
    ]
    return [(f"integrated gradients off by over {COMPLETE:.0%}", "; ".join(lines))] if lines else []


def _computed(run: StudyRun) -> str:
    return f"{run.manifest['dtype']} on {run.manifest.get('device', 'an unknown device')}"
