"""The tables of docs/interfaces.md, from the results of `retinoscope train interface`.

python -m scripts.interfaces
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from retinoscope.recipes.interfaces import ARMS, MEASURES, Comparison, read_comparison
from retinoscope.stats import Interval

from .api_reference import ROOT

RESULTS = ROOT / "benchmarks" / "results" / "interfaces"
PAGE = ROOT / "docs" / "interfaces.md"

_MARKED = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def page(text: str, comparison: Comparison) -> str:
    """The page with its tables written anew."""
    return _MARKED.sub(lambda m: f"{m[1]}\n{TABLES[m[2]](comparison)}\n\n{m[3]}", text)


def _shares(comparison: Comparison) -> str:
    head = ["arm", "seeds", "size", *(measure.title for measure in MEASURES.values())]
    rows = []
    for arm in comparison.arms:
        results = comparison.results(arm)
        size = f"{results[0].facts['size'] / 1e6:.2f} M"
        shares = [_interval(comparison.share(arm, name)) for name in MEASURES]
        rows.append([f"`{arm}`", str(len(results)), size, *shares])
    return _table(head, rows)


def _differences(comparison: Comparison) -> str:
    head = ["arm", "against", *(measure.title for measure in MEASURES.values())]
    rows = [
        [
            f"`{arm}`",
            f"`{other}`",
            *(_change(comparison.difference(arm, other, name)) for name in MEASURES),
        ]
        for arm in comparison.arms
        for other in ARMS[arm].against
        if other in comparison.arms
    ]
    return _table(head, rows)


def _arms(comparison: Comparison) -> str:
    rows = [
        [f"`{name}`", arm.what, ", ".join(f"`{other}`" for other in arm.against)]
        for name, arm in ARMS.items()
    ]
    return _table(["arm", "what it is", "compared with"], rows)


def _cost(comparison: Comparison) -> str:
    rows = []
    for arm in comparison.arms:
        seconds = [result.facts["seconds"] / 60 for result in comparison.results(arm)]
        rows.append([f"`{arm}`", f"{min(seconds):.0f} to {max(seconds):.0f}"])
    return _table(["arm", "minutes"], rows)


TABLES: dict[str, Callable[[Comparison], str]] = {
    "arms": _arms,
    "shares": _shares,
    "differences": _differences,
    "cost": _cost,
}
"""Name -> table."""


def _interval(found: Interval) -> str:
    if not found.defined:
        return "-"
    return f"{100 * found.value:.0f} ({100 * found.low:.0f} to {100 * found.high:.0f})"


def _change(found: Interval) -> str:
    if not found.defined:
        return "-"
    text = f"{100 * found.value:+.0f} ({100 * found.low:+.0f} to {100 * found.high:+.0f})"
    return f"**{text}**" if found.excludes(0) else text


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(results: Path = RESULTS, file: Path = PAGE) -> None:
    """Writes the tables into the page."""
    file.write_text(page(file.read_text("utf-8"), read_comparison(results)), "utf-8")


if __name__ == "__main__":
    main()
