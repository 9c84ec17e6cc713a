"""Tables of docs from committed results of trained arms: how they are written into a page."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from retinoscope.recipes.comparison import Claim, Comparison, Measure, verdicts
from retinoscope.stats import Interval

Written = Callable[[Comparison], str]
"""A table in Markdown, made of results."""

NOT_YET = "Not trained yet."
"""In place of a table without rows."""
_MARKED = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def page(text: str, comparison: Comparison, tables: Mapping[str, Written]) -> str:
    """The page with its tables written anew."""
    return _MARKED.sub(lambda m: f"{m[1]}\n{tables[m[2]](comparison)}\n\n{m[3]}", text)


def shares(names: Sequence[str], measures: Mapping[str, Measure]) -> Written:
    """Arms in columns, their size and measures in rows."""

    def table(comparison: Comparison) -> str:
        arms = [arm for arm in names if arm in comparison.arms]
        results = {arm: comparison.results(arm) for arm in arms}
        sizes = [f"{results[arm][0].facts['size'] / 1e6:.2f} M" for arm in arms]
        rows = [
            ["parameters", *sizes],
            ["seeds", *(str(len(results[arm])) for arm in arms)],
            *(
                [measure.title, *(interval(comparison.share(arm, measure)) for arm in arms)]
                for measure in measures.values()
            ),
        ]
        return table_of(["", *(f"`{arm}`" for arm in arms)], rows)

    return table


def verdict_table(claim: Claim, judged: Mapping[str, Measure]) -> Written:
    """Every measure of a claim against every control, and whether it shows."""

    def table(comparison: Comparison) -> str:
        rows = [
            [v.title, f"`{v.control}`", str(v.n_seeds), change(v.difference), v.shown]
            for v in verdicts(claim, comparison, judged)
        ]
        return table_of(["measure", "against", "seeds", "difference", "shown"], rows)

    return table


def measured(measures: Mapping[str, Measure]) -> Written:
    """A table of the arms that have what `measures` need, one column for each."""

    def table(comparison: Comparison) -> str:
        arms = arms_with(comparison, next(iter(measures.values())).table)
        rows = [
            [
                f"`{arm}`",
                str(len(comparison.results(arm))),
                *(interval(comparison.share(arm, measure), 1) for measure in measures.values()),
            ]
            for arm in arms
        ]
        return table_of(["arm", "seeds", *(measure.title for measure in measures.values())], rows)

    return table


def arms_with(comparison: Comparison, table: str) -> list[str]:
    """The arms with a table of this name for every seed."""
    return [
        arm
        for arm in comparison.arms
        if all(table in result.tables for result in comparison.results(arm))
    ]


def interval(found: Interval, digits: int = 0) -> str:
    if not found.defined:
        return "-"
    value, low, high = (f"{100 * x:.{digits}f}" for x in (found.value, found.low, found.high))
    return f"{value} ({low} to {high})"


def change(found: Interval, digits: int = 0) -> str:
    """Bold where the interval leaves out 0."""
    if not found.defined:
        return "-"
    value, low, high = (f"{100 * x:+.{digits}f}" for x in (found.value, found.low, found.high))
    text = f"{value} ({low} to {high})"
    return f"**{text}**" if found.excludes(0) else text


def table_of(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
