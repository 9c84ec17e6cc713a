"""`retinoscope report`."""

from __future__ import annotations

from pathlib import Path

from ._say import say


def report(folder: Path, /) -> None:
    """Write the report of a finished study, of a reproduction, or of a folder of studies.

    Writes report.html (a single file that opens offline), the tables (CSV) and the figures (SVG)
    into the folder. All studies in it go into one report, several models side by side; the report
    of a reproduction also gives the paper's numbers.

    For example:

        retinoscope report runs/ablation

        retinoscope report runs

    Args:
        folder: what a study or a reproduction wrote with --out, or a folder of such folders.
    """
    from ..reporting import write_report

    say(f"report: {write_report(folder)}")
