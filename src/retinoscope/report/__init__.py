"""Run directories -> one self-contained HTML page, tables as CSV and figures as SVG.

    retinoscope.report.write_report("runs/demo")     # -> runs/demo/report.html

The page needs no network and no scripts. Every sentence with a claim in it is generated from the
intervals: where they overlap, it says that the effect does not show.
"""

from ._collect import StudyRun, collect
from ._files import write_whole
from ._neo2024 import PLAN, compose_neo2024
from ._parts import Claim
from ._write import Report, compose, headlines, write_report

__all__ = [
    "PLAN",
    "Claim",
    "Report",
    "StudyRun",
    "collect",
    "compose",
    "compose_neo2024",
    "headlines",
    "write_report",
    "write_whole",
]
