"""Putting a report together and writing it, whole or not at all."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import __version__
from ..errors import InputError
from ..studies import evaluating
from ..tokens import COMPLETE
from . import (
    _ablation,
    _aggregation,
    _alignment,
    _attend,
    _flow,
    _group,
    _knockout,
    _lens,
    _look,
    _probe,
    _reprompt,
)
from ._collect import StudyRun, collect, of_study
from ._files import write_whole
from ._methods import DEFINITIONS, entries_of
from ._parts import PAPER, TO, Figure, Finding, Section, Table, listing
from ._pictures import pictures_of
from ._style import css_variables, inline

REPORT = "report.html"
FAILURES_SHOWN = 50
FORMULA = ("=", "+", "-", "@", "\t", "\n")
"""What a spreadsheet may take for a formula, at the beginning of a cell."""
WORDS_SHOWN = 10
NOTHING = "no answer was right before any edit, so there was nothing to lose"

_SECTIONS: dict[str, Callable[[Sequence[StudyRun]], Section]] = {
    "ablation": _ablation.section,
    "lens": _lens.section,
    "knockout": _knockout.section,
    "flow": _flow.section,
    "look": _look.section,
    "reprompt": _reprompt.section,
    "probe": _probe.section,
    "group": _group.section,
    "spurious": _aggregation.spurious_section,
    "alignment": _alignment.section,
    "attend": _attend.section,
}


@dataclass(frozen=True)
class Report:
    """A report that is composed and not written yet; see `compose`.

    `failures` are run, sample and reason of whatever could not be evaluated; `title` and `lead`
    stand at the top, made from the studies where they are empty.
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

    def write(self) -> Path:
        """Writes `report.html`, `tables/*.csv`, `figures/*.svg`, and `figures/*.py` where a figure
        has its Python lines; returns the page's path.

        Raises:
            InputError: the folder cannot be written, or the disk is full.
        """
        with evaluating(self.folder):
            pictures = pictures_of(self.runs)
            page = _render(self, pictures)
        figures = [f for section in self.sections for f in section.figures]
        figures += [f for picture in pictures for f in picture.figures]
        for table in (table for section in self.sections for table in section.tables):
            write_whole(self.folder / "tables" / f"{table.name}.csv", _csv(table))
        if self.failures:
            content = _csv_rows(("run", "sample", "error"), self.failures)
            write_whole(self.folder / "tables" / "failures.csv", content)
        for figure in figures:
            path = self.folder / "figures" / f"{figure.name}.svg"
            write_whole(path, figure.svg.encode("utf-8"))
            if figure.code:
                write_whole(path.with_suffix(".py"), figure.code.encode("utf-8"))
        write_whole(self.folder / REPORT, page.encode("utf-8"))
        return self.folder / REPORT


def of_studies(root: Path) -> Report:
    """The report of the studies in `root`, whatever they belong to; raises as `compose`."""
    runs = collect(root)
    failures = [(run.place, s, why) for run in runs for s, why in run.results.errors()]
    failures += [(run.place, "all", NOTHING) for run in runs if not run.summary]
    return Report(root, runs, sections_of(runs), tuple(failures))


def sections_of(runs: Sequence[StudyRun]) -> tuple[Section, ...]:
    """One section per study that was run, in the paper's order."""
    sections = []
    for study, make in _SECTIONS.items():
        found = [run for run in of_study(runs, study) if run.summary]
        if found:
            sections.append(make(found))
    if not sections:
        raise InputError(
            "expected at least one study with results, but no answer was right before any edit: "
            "check that the model fits the data (see results.parquet)"
        )
    return tuple(sections)


def _render(report: Report, pictures: Sequence[object]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    runs, sections, failures = report.runs, report.sections, report.failures

    def inlined(figure: Figure) -> Markup:
        # Our own drawing: names in it were escaped where it was drawn.
        return Markup(inline(figure.svg, figure.name))

    environment = Environment(
        loader=PackageLoader("retinoscope", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_unbroken,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    models = list(dict.fromkeys(run.model for run in runs))
    return environment.get_template("template.html").render(
        title=report.title or _title(sections),
        lead=report.lead or _lead(runs, models),
        facts=_facts(runs, models),
        findings=[(section.finding, section.key) for section in sections if section.finding],
        pictures=pictures,
        sections=sections,
        failures=failures[:FAILURES_SHOWN],
        more_failures=max(0, len(failures) - FAILURES_SHOWN),
        definitions=DEFINITIONS,
        runs=entries_of(runs),
        version=__version__,
        paper_subject=PAPER,
        css=Markup(_css()),
        inline=inlined,
    )


def _unbroken(value: object) -> object:
    """Keeps a range such as 90-96 on one line (a word joiner after the dash), and a p value."""
    if type(value) is not str:
        return value
    value = value.replace(TO, f"{TO}\u2060")
    return re.sub(r"\bp ([=<]) ", "p\u00a0\\1\u00a0", value)


def _css() -> str:
    from importlib.resources import files

    light, dark = css_variables()
    fonts = (
        "--sans:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;"
        "--mono:ui-monospace,'SF Mono',Menlo,Consolas,'DejaVu Sans Mono',monospace;"
    )
    return (
        f":root{{color-scheme:light dark;{fonts}{light}}}"
        f"@media (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
        + (files("retinoscope.report") / "template.css").read_text("utf-8")
    )


def _title(sections: Sequence[Section]) -> str:
    names = {
        "ablation": "token ablation",
        "lens": "logit lens",
        "knockout": "attention knockout",
        "flow": "information flow",
        "look": "where words look",
        "reprompt": "image re-prompting",
        "probe": "probes of what is where",
        "group": "perceptual grouping",
        "spurious": "objects on other grounds",
        "alignment": "agreement with where observers look",
        "attend": "attribution maps",
    }
    done = listing([names[section.key] for section in sections])
    return done[0].upper() + done[1:]


def _lead(runs: Sequence[StudyRun], models: Sequence[str]) -> str:
    n = max(run.n_samples for run in runs)
    others = f"; contrast models: {listing(models[1:])}" if len(models) > 1 else ""
    return (
        f"How {models[0]} sees {n} images{others}. Each effect stands beside its control, with "
        "its sample size and a 95% interval; a paired test decides what is said to show."
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
    """What models were asked that they cannot read."""
    told = [(run.label, *run.results.unknown_words) for run in runs]
    lines = [
        f"{count} questions of {label} ({', '.join(words[:WORDS_SHOWN])}"
        f"{', ...' if len(words) > WORDS_SHOWN else ''})"
        for label, count, words in told
        if count
    ]
    return [("words that the model does not know", "; ".join(lines))] if lines else []


def _incomplete(runs: Sequence[StudyRun]) -> list[tuple[str, str]]:
    """What rests on integrated gradients that do not add up."""
    told = [(run, *run.incomplete) for run in runs]
    lines = [
        f"{count} of {every} rows of {run.label} ({run.study})"
        for run, count, every in told
        if count
    ]
    return [(f"integrated gradients off by over {COMPLETE:.0%}", "; ".join(lines))] if lines else []


def _computed(run: StudyRun) -> str:
    return f"{run.manifest['dtype']} on {run.manifest.get('device', 'an unknown device')}"


def _csv(table: Table) -> bytes:
    keys = list(table.records[0]) if table.records else []
    return _csv_rows(keys, [[row.get(key) for key in keys] for row in table.records])


def _csv_rows(header: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_cell(name) for name in header])
    writer.writerows([[_cell(value) for value in row] for row in rows])
    return text.getvalue().encode("utf-8", "backslashreplace")


def _cell(value: object) -> object:
    """A cell that no spreadsheet takes for a formula: such text gets an apostrophe before it."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    # The writer would leave a lone carriage return bare, which begins a new row.
    text = value.replace("\r\n", "\n").replace("\r", "\n")
    return f"'{text}" if text.startswith(FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
