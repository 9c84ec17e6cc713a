"""Interfaces against each other, on the same questions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import polars as pl

from ...stats import PairedDifference, holm, paired_difference
from .._best import test_columns, test_kinds
from ..columns import NUMBER, TEXT, WHOLE, Columns, columns
from ..summary import Record, c
from .options import MEASURES

SIZES = ("all", "small", "large")
KINDS: Columns = {
    **columns(TEXT, "measure size a b"),
    **columns(NUMBER, "a_share b_share"),
    **test_kinds("difference"),
    "difference_p_corrected": NUMBER,
    **columns(WHOLE, "n n_samples"),
}


def pairs(rows: pl.DataFrame) -> Iterator[Record]:
    """Yields a record for each measure, size and pair of interfaces.

    `a_share` and `b_share` are over the questions that both were asked; p values are corrected for
    the number of pairs (Holm).
    """
    for measure in MEASURES:
        of_measure = rows.filter(c("measure") == measure)
        for size in SIZES:
            some = of_measure if size == "all" else of_measure.filter(c("size") == size)
            found = list(_of(some))
            tests = holm([difference.p for _, difference in found])
            for (record, difference), p in zip(found, tests, strict=True):
                yield {
                    "measure": measure,
                    "size": size,
                    **record,
                    **test_columns("difference", difference),
                    "difference_p_corrected": p,
                }


def _of(rows: pl.DataFrame) -> Iterator[tuple[Record, PairedDifference]]:
    by_name = rows.partition_by("interface", maintain_order=True, as_dict=True)
    for (a,), (b,) in combinations(by_name, 2):
        both = by_name[a,].join(
            by_name[b,].select("sample", "item", other="score"),
            on=["sample", "item"],
            maintain_order="left",
        )
        if not both.height:
            continue
        first, second = both["score"].to_numpy(), both["other"].to_numpy()
        record: Record = {"a": a, "b": b}
        record |= {"a_share": float(first.mean()), "b_share": float(second.mean())}
        record |= {"n": both.height, "n_samples": both["sample"].n_unique()}
        yield record, paired_difference(first, second, both["sample"].to_numpy())
