"""Tables of details of the comparison, folded in the report."""

from __future__ import annotations

from ...report.blocks import Record, Table, percent, percent_interval, signed
from ...report.findings import written_p
from ...report.rows import first, interval, number, pick, values
from ...report.tables import Write, cell, count, table, text
from ..runs import StudyRun
from .options import MEASURES, SETS
from .tables import estimate, name_of, written


def details_of(run: StudyRun) -> tuple[Table, ...]:
    """Returns the tables of pairs, windows and words that have rows."""
    return tuple(table for make in (_pairs, _windows, _words) if (table := make(run)).rows)


def _pairs(run: StudyRun) -> Table:
    rows = run.extra("pairs")

    def difference(row: Record) -> str:
        x = interval(row, "difference")
        return "" if x is None else signed(x, 0, 100)

    def p(row: Record) -> str:
        value = number(row, "difference_p_corrected")
        return "" if value is None else written_p(value).removeprefix("p ").removeprefix("= ")

    return table(
        name_of(run, "pairs"),
        "Differences in points on the same questions; p corrected for the pairs of "
        "interfaces. By size of the object in the CSV file.",
        pick(rows, size="all"),
        (
            text("measure", "question", MEASURES),
            cell("a, b", lambda row: f"{row['a']}, {row['b']}", numeric=False),
            cell("a", lambda row: percent(number(row, "a_share") or 0.0)),
            cell("b", lambda row: percent(number(row, "b_share") or 0.0)),
            cell("a minus b", difference),
            cell("p", p),
            count("n", "questions"),
        ),
        rows,
        folded=True,
    )


def _windows(run: StudyRun) -> Table:
    rows = pick(run.extra("edits"), edit="knockout")
    keys = list(dict.fromkeys((str(row["interface"]), str(row["token_set"])) for row in rows))

    def lost(window: str) -> Write:
        return lambda key: written(
            interval(first(rows, interface=key[0], token_set=key[1], window=window), "lost")
        )

    def strongest(key: tuple[str, str]) -> str:
        row = first(run.extra("windows"), interface=key[0], token_set=key[1])
        x = interval(row, "value", "n_samples")
        return "" if row is None or x is None else f"{row['chosen']}\n{percent_interval(x)}"

    return table(
        name_of(run, "windows"),
        "Answers lost when tokens are hidden from the last position, by window of layers.",
        keys,
        (
            cell("tokens", lambda key: f"{key[0]}\n{SETS.get(key[1], key[1])}", numeric=False),
            *(cell(str(window), lost(str(window))) for window in values(rows, "window")),
            cell("the strongest,\non other images", strongest),
        ),
        rows,
        folded=True,
    )


def _words(run: StudyRun) -> Table:
    return table(
        name_of(run, "words"),
        "What an object's tokens say at the layer that was best on other images. "
        "Top-1: the word is the nearest; reciprocal: one over its rank.",
        run.extra("words"),
        (
            text("interface"),
            text("word"),
            text("measure", None, {"top1": "top-1"}),
            text("token_set", "tokens", SETS),
            text("chosen", "layer"),
            estimate("value", "share"),
            estimate("control", "random tokens"),
            count("n", "objects"),
        ),
        folded=True,
    )
