"""Run directories -> one self-contained HTML page, tables as CSV and figures as SVG.

    retinoscope.report.write_report("runs/demo")     # -> runs/demo/report.html

The page needs no network and no scripts. Every sentence with a claim in it is generated from the
intervals: where they overlap, it says that the effect does not show.
"""

from ._write import write_report

__all__ = ["write_report"]
