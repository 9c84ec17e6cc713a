"""The page of a report: one HTML file, with its tables as CSV and its figures as SVG.

Files are written whole or not at all. Nothing here depends on particular studies.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import __version__
from .blocks import PAPER, TO, Figure, Finding, Picture, RunFacts, Section, Table
from .files import write_whole
from .style import css_variables, inline

REPORT = "report.html"
FAILURES_SHOWN = 50
FORMULA = ("=", "+", "-", "@", "\t", "\n")
"""Cells that begin with these may be taken for a formula by a spreadsheet."""


@dataclass(frozen=True)
class Page:
    """A report's page.

    Attributes:
        title, lead: at the top.
        facts: names and values that summarise what was run.
        sections: one for each study.
        failures: run, sample and reason of each failure.
        pictures: examples, shown before the sections.
        definitions: terms and their meanings.
        runs: everything needed to repeat each study.
    """

    title: str
    lead: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    failures: Sequence[tuple[str, str, str]]
    pictures: Sequence[Picture]
    definitions: Sequence[tuple[str, str]]
    runs: Sequence[RunFacts]

    @property
    def findings(self) -> list[tuple[Finding, str]]:
        """The results, one sentence each, with the keys of their sections."""
        return [(section.finding, section.key) for section in self.sections if section.finding]

    def write(self, folder: Path) -> Path:
        """Writes `report.html`, `tables/*.csv`, `figures/*.svg`, and `figures/*.py` where a figure
        has its Python lines; returns the page's path.

        Raises:
            InputError: the folder cannot be written, or the disk is full.
        """
        page = self.html()
        figures = [f for section in self.sections for f in section.figures]
        figures += [f for picture in self.pictures for f in picture.figures]
        for table in (table for section in self.sections for table in section.tables):
            write_whole(folder / "tables" / f"{table.name}.csv", _csv(table))
        if self.failures:
            content = csv_rows(("run", "sample", "error"), self.failures)
            write_whole(folder / "tables" / "failures.csv", content)
        for figure in figures:
            path = folder / "figures" / f"{figure.name}.svg"
            write_whole(path, figure.svg.encode("utf-8"))
            if figure.code:
                write_whole(path.with_suffix(".py"), figure.code.encode("utf-8"))
        write_whole(folder / REPORT, page.encode("utf-8"))
        return folder / REPORT

    def html(self) -> str:
        """The whole page."""
        from jinja2 import Environment, PackageLoader, StrictUndefined
        from markupsafe import Markup

        def inlined(figure: Figure) -> Markup:
            # Drawn here, with all names in it escaped.
            return Markup(inline(figure.svg, figure.name))

        environment = Environment(
            loader=PackageLoader("retinoscope", "report"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_unbroken,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        return environment.get_template("template.html").render(
            title=self.title,
            lead=self.lead,
            facts=self.facts,
            findings=self.findings,
            pictures=self.pictures,
            sections=self.sections,
            failures=self.failures[:FAILURES_SHOWN],
            more_failures=max(0, len(self.failures) - FAILURES_SHOWN),
            definitions=self.definitions,
            runs=self.runs,
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


def _csv(table: Table) -> bytes:
    keys = list(table.records[0]) if table.records else []
    return csv_rows(keys, [[row.get(key) for key in keys] for row in table.records])


def csv_rows(header: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_cell(name) for name in header])
    writer.writerows([[_cell(value) for value in row] for row in rows])
    return text.getvalue().encode("utf-8", "backslashreplace")


def _cell(value: object) -> object:
    """A cell that no spreadsheet takes for a formula: such text gets a leading apostrophe."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    # The csv writer leaves a lone carriage return unquoted, which would begin a new row.
    text = value.replace("\r\n", "\n").replace("\r", "\n")
    return f"'{text}" if text.startswith(FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
