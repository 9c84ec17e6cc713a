"""Run directories -> one self-contained HTML page, tables as CSV and figures as SVG.

    retinoscope.report.write_report("runs/demo")     # -> runs/demo/report.html

The page needs no network and no scripts. What is said to show is decided by paired tests
(`retinoscope.studies.findings`): title and sentence of a finding come from one verdict.
"""

from ..studies.findings import Finding
from ._collect import StudyRun, collect
from ._compose import compose, headlines, write_report
from ._differences import ON_SMALL_MODELS, Difference
from ._files import write_whole
from ._neo2024 import PLAN, compose_neo2024, differences_of
from ._write import Report

__all__ = [
    "ON_SMALL_MODELS",
    "PLAN",
    "Difference",
    "Finding",
    "Report",
    "StudyRun",
    "collect",
    "compose",
    "compose_neo2024",
    "differences_of",
    "headlines",
    "write_report",
    "write_whole",
]
