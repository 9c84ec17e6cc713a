"""The report that belongs to a folder: a reproduction's own, or that of its studies.

    retinoscope.reporting.write_report("runs/demo")     # -> runs/demo/report.html

The page needs no network and no scripts. What is said to show is decided by paired tests
(`retinoscope.report.findings`): title and sentence of a finding come from one verdict.
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
    """Reads the finished studies in `folder` and says what came out.

    Args:
        folder: a run directory, a reproduction, or a folder of run directories (up to three levels
            down); all finished studies in it go into one report, several models side by side. A
            reproduction has its own, with the paper's numbers.

    Raises:
        InputError: no run directory, an unfinished or a damaged one, or nothing was measured.
    """
    root = Path(folder)
    with evaluating(root):
        return compose_neo2024(root) if (root / PLAN).exists() else of_studies(root)


@checked
def write_report(folder: str | Path) -> Path:
    """Writes the report of `folder` into it and returns its path; see `compose` for both."""
    return compose(folder).write()


@checked
def headlines(folder: str | Path) -> tuple[Finding, ...]:
    """The results in one sentence each; raises as `compose`."""
    return compose(folder).findings
