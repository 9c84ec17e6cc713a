"""The report of a folder: of a reproduction, or of the studies in it.

    retinoscope.reporting.write_report("runs/demo")     # -> runs/demo/report.html

The page needs neither a network nor scripts. Findings rest on paired tests
(`retinoscope.report.findings`), and a finding's title and sentence come from the same verdict.
"""

from __future__ import annotations

from pathlib import Path

from .arguments import checked
from .report.findings import Finding
from .reproduce import PLAN, compose_neo2024
from .studies import evaluating
from .studies.report import Report, of_studies


@checked
def compose(folder: str | Path) -> Report:
    """Reads the finished studies in `folder` and composes their report.

    Args:
        folder: a run directory, a reproduction, or a folder of run directories (up to three levels
            down), whose finished studies go into one report, several models side by side. The
            report of a reproduction also gives the paper's numbers.

    Raises:
        InputError: no run directory, one that is unfinished or damaged, or nothing measured.
    """
    root = Path(folder)
    with evaluating(root):
        return compose_neo2024(root) if (root / PLAN).exists() else of_studies(root)


@checked
def write_report(folder: str | Path) -> Path:
    """Writes the report of `folder` into it and returns its path; see `compose`."""
    return compose(folder).write()


@checked
def headlines(folder: str | Path) -> tuple[Finding, ...]:
    """The results, one sentence each; raises what `compose` raises."""
    return compose(folder).findings
