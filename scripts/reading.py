"""The tables of docs/reading.md, from committed results.

python -m scripts.reading     of `retinoscope train reader` and `python -m benchmarks.reading`
"""

from __future__ import annotations

import json

from retinoscope.recipes.comparison import Comparison, read_comparison
from retinoscope.recipes.reading import OF_MASKS, OF_READING, READING_ARMS, READING_CLAIMS

from .api_reference import ROOT
from .result_pages import Written, change, interval, page, shares, table_of, verdict_table

RESULTS = ROOT / "benchmarks" / "results" / "reading"
SPEED = ROOT / "benchmarks" / "results" / "reading.json"
PAGE = ROOT / "docs" / "reading.md"
UNIT = "board"


def _arms(comparison: Comparison) -> str:
    return table_of(["arm", "what it is"], [[f"`{n}`", what] for n, what in READING_ARMS.items()])


def _masks(comparison: Comparison) -> str:
    """Where masks lie; a measure that an arm does not have is a dash."""
    rows = []
    for arm in comparison.arms:
        known = comparison.results(arm)[0].tables[""].columns
        cells = [
            interval(comparison.share(arm, measure)) if name in known else "-"
            for name, measure in OF_MASKS.items()
        ]
        rows.append([f"`{arm}`", *cells])
    return table_of(["arm", *(measure.title for measure in OF_MASKS.values())], rows)


def _differences(comparison: Comparison) -> str:
    """Every arm against the reader alone."""
    arms = [a for a in READING_ARMS if a != "vision" and comparison.shared_seeds(a, "vision")]
    rows = [
        [m.title, *(change(comparison.difference(arm, "vision", m)) for arm in arms)]
        for m in OF_READING.values()
    ]
    return table_of(["`vision` against", *(f"`{arm}`" for arm in arms)], rows)


def _speed(comparison: Comparison) -> str:
    found = json.loads(SPEED.read_text("utf-8"))
    rows = []
    for case in found["cases"]:
        times = [f"{1000 * timing['median']:.2f} ms" for timing in case["timings"].values()]
        rows.append([case["name"], *times, f"{case['measures'][0]['value']:.2f}"])
    names = [*found["cases"][0]["timings"], "times faster"]
    sizes = ", ".join(f"{name}: {n / 1e6:.2f} M" for name, n in found["model"].items())
    return table_of([f"one thread; {sizes}", *names], rows)


TABLES: dict[str, Written] = {
    "arms": _arms,
    "shares": shares(tuple(READING_ARMS), OF_READING),
    "differences": _differences,
    "masks": _masks,
    "speed": _speed,
    **{f"claim-{arm}": verdict_table(claim, OF_READING) for arm, claim in READING_CLAIMS.items()},
}
"""Name -> table."""


def main() -> None:
    """Writes the tables into the page."""
    comparison = read_comparison(RESULTS, UNIT)
    PAGE.write_text(page(PAGE.read_text("utf-8"), comparison, TABLES), "utf-8")


if __name__ == "__main__":
    main()
