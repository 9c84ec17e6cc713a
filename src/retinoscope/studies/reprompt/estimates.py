"""Accuracy against the share of visual tokens that is kept, with its controls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...stats import PairedDifference, cluster_share, paired_difference, proportion
from .._peaks import scanned, scanned_types
from .._tables import (
    Cell,
    Record,
    estimate,
    grouped,
    interval_columns,
    make_table,
    rank,
    records,
    tested,
    tested_columns,
)

if TYPE_CHECKING:
    import pyarrow as pa

ATTENTION, RANDOM, NAIVE = "attention", "random", "naive"
SELECTORS = (ATTENTION, RANDOM, NAIVE)
_SUMMARY = {
    "selector": "string",
    "share": "float",
    **estimate("accuracy"),
    **estimate("pairs_right"),
    **estimate("probability"),
    **dict.fromkeys(("n_kept", "union", "n_context", "n_visual"), "float"),
    "bytes_share": "float",
    **dict.fromkeys(("n", "n_samples"), "int"),
    "control": "string",
    **tested("difference"),
    **scanned_types(),
    "difference_n": "int",
    **tested("loss"),
    "method": "string",
}


def summarise_reprompt(table: pa.Table) -> pa.Table:
    """One row per selector and share.

    `accuracy` is the share of questions whose text holds the answer, `pairs_right` that of images
    all of whose questions are right. `n_kept` visual tokens are kept in each block, `union` is the
    share of them that any block keeps, `bytes_share` that of the whole context's keys and values.
    For "attention", `difference` is its accuracy minus that of as many random tokens, and `loss`
    that of the whole context minus its own, each on the same questions.
    """
    groups = grouped(records(table), ("selector", "share"))
    found = [_one(key, rows, groups) for key, rows in groups.items()]
    found.sort(key=summary_order)
    return make_table(scanned(found, ("selector",)), _SUMMARY)


def summary_order(record: Record) -> tuple[int, float]:
    """Sorts the records of `summarise_reprompt`."""
    return rank(SELECTORS)[str(record["selector"])], float(record["share"] or 0)


def _one(
    key: tuple[Cell, ...],
    rows: list[dict[str, Cell]],
    groups: dict[tuple[Cell, ...], list[dict[str, Cell]]],
) -> Record:
    selector, share = key
    samples = [str(row["sample"]) for row in rows]
    accuracy = proportion([bool(row["correct"]) for row in rows], samples)
    whole: dict[str, bool] = {}
    for row in rows:
        name = str(row["sample"])
        whole[name] = whole.get(name, True) and bool(row["correct"])
    probability = cluster_share([_number(row, "probability") for row in rows], groups=samples)
    means = {
        name: sum(_number(row, name) for row in rows) / len(rows)
        for name in ("n_kept", "union", "n_context", "n_visual")
    }
    bytes_kept = sum(_number(row, "context_bytes") for row in rows)
    return {
        "selector": selector,
        "share": share,
        **interval_columns("accuracy", accuracy),
        **interval_columns("pairs_right", proportion(list(whole.values()), list(whole))),
        **interval_columns("probability", probability),
        **means,
        "bytes_share": bytes_kept / sum(_number(row, "whole_bytes") for row in rows),
        "n": accuracy.n,
        "n_samples": accuracy.n_groups,
        **(_against(rows, groups, key) if selector == ATTENTION else {}),
        "method": accuracy.method,
    }


def _against(
    rows: list[dict[str, Cell]],
    groups: dict[tuple[Cell, ...], list[dict[str, Cell]]],
    key: tuple[Cell, ...],
) -> Record:
    found: dict[str, Cell] = {}
    if difference := _paired(rows, groups.get((RANDOM, key[1]), [])):
        found |= {
            "control": RANDOM,
            **tested_columns("difference", difference),
            "difference_n": difference.n,
        }
    whole = groups.get((ATTENTION, 1.0), [])
    if key[1] != 1.0 and (loss := _paired(whole, rows)):
        found |= tested_columns("loss", loss)
    return found


def _paired(rows: list[dict[str, Cell]], others: list[dict[str, Cell]]) -> PairedDifference | None:
    """Of the questions that both have."""
    control = {(row["sample"], row["item"]): row for row in others}
    pairs = [(row, other) for row in rows if (other := control.get((row["sample"], row["item"])))]
    if not pairs:
        return None
    return paired_difference(
        [bool(ours["correct"]) for ours, _ in pairs],
        [bool(theirs["correct"]) for _, theirs in pairs],
        [str(ours["sample"]) for ours, _ in pairs],
    )


def _number(row: Record, name: str) -> float:
    value = row[name]
    assert value is not None
    return float(value)
