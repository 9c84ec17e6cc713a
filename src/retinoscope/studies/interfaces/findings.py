"""What the comparison found, each from its paired tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...report.blocks import Record, listing, number_interval, percent, percent_interval
from ...report.findings import Finding, PairedTest, make_finding, paired_test
from ...report.rows import first, interval, number, pick, values
from ..runs import StudyRun
from .options import HEADLINE, MEASURES

MAIN, CONTROL = "changed", "random"
"""The experiments are judged by the tokens that an object really changed."""


class Experiment(NamedTuple):
    """One of the paper's experiments: where its records are, and what it claims.

    Attributes:
        title: of its panel and column.
        table: the further summary that has it.
        keys: which of its records.
        value: the share that counts.
        control: the column with the control's share; None if it is a record of its own.
        claim: what it shows if it holds.
        measured: what is measured, before each interface's share.
    """

    title: str
    table: str
    keys: dict[str, str]
    value: str
    control: str | None
    claim: str
    measured: str


EXPERIMENTS = (
    Experiment(
        "answers lost: tokens replaced",
        "edits",
        {"edit": "ablation"},
        "lost",
        None,
        "an object is local in the tokens that depend on it",
        "Right answers lost when an object's tokens are replaced by the mean",
    ),
    Experiment(
        "tokens that say the name",
        "words",
        {"word": "name", "measure": "top1"},
        "value",
        "control",
        "tokens say the name of an object that they depend on",
        "Share of an object's tokens whose nearest word is its name, at the layer chosen on other "
        "images",
    ),
    Experiment(
        "answers lost: hidden from last",
        "edits",
        {"edit": "knockout", "window": "all"},
        "lost",
        None,
        "the last position reads the tokens that depend on the object",
        "Right answers lost when an object's tokens are hidden from the last position in all "
        "layers",
    ),
)


def interfaces_of(run: StudyRun) -> list[str]:
    """Returns the interfaces in the order in which they were given."""
    return [str(name) for name in values(run.summary, "interface")]


def record_of(run: StudyRun, what: Experiment, interface: str, source: str) -> Record | None:
    """Returns the record of one experiment for one interface and way to choose tokens."""
    rows = run.extra(what.table)
    return first(rows, interface=interface, token_set=source, **what.keys)


def differences(run: StudyRun) -> Finding | None:
    """Whether the highest and the lowest interface differ, for each of the main questions."""
    tests: list[PairedTest] = []
    parts: list[str] = []
    widest: tuple[float, str, str] = (0.0, "", "")
    n_pairs = len(interfaces_of(run)) * (len(interfaces_of(run)) - 1) // 2
    for measure in HEADLINE:
        shares = {
            str(row["interface"]): share
            for row in pick(run.summary, measure=measure)
            if (share := number(row, "share")) is not None
        }
        if len(shares) < 2:
            continue
        high, low = max(shares, key=shares.__getitem__), min(shares, key=shares.__getitem__)
        if high == low:
            high, low = list(shares)[:2]
        test = _between(run, measure, high, low, n_pairs)
        if test is None:
            continue
        tests.append(test)
        name = MEASURES[measure]
        parts.append(f"{name}, {high} {percent(shares[high])} and {low} {percent(shares[low])}")
        if abs(test.difference) >= widest[0]:
            widest = (abs(test.difference), f"{high} and {low}", name)
    if not tests:
        return None
    note = f" (p values corrected for {n_pairs} pairs)" if n_pairs > 1 else ""
    return make_finding(
        "the interfaces differ in what they tell the language model",
        f"Highest and lowest of {len(interfaces_of(run))} interfaces{note}: {'; '.join(parts)}",
        tests,
        figure=f"{100 * widest[0]:.0f} points",
        versus=f"between {widest[1]}: {widest[2]}",
    )


def _between(run: StudyRun, measure: str, high: str, low: str, n_pairs: int) -> PairedTest | None:
    rows = pick(run.extra("pairs"), measure=measure, size="all")
    row = first(rows, a=high, b=low) or first(rows, a=low, b=high)
    if row is None:
        return None
    if n_pairs > 1:
        # The pair was selected, so its own interval does not cover.
        none = {"difference_low": None, "difference_high": None}
        row = {**row, **none, "difference_p": row["difference_p_corrected"]}
    sign = 1 if row["a"] == high else -1
    return paired_test(row, sign=sign, about=f"for “{MEASURES[measure]}”")


def audit_finding(run: StudyRun) -> Finding | None:
    """Whether declared origins say which tokens an object changes, interface by interface."""
    known = [(row, x) for row in run.extra("audit") if (x := interval(row, "auc"))]
    if not known:
        return None
    tests = [
        test
        for row, _ in known
        if (test := paired_test(row, "above", scale=1, about=f"in {row['interface']}"))
    ]
    parts = [f"{row['interface']} {number_interval(x)} ({row['declared_by']})" for row, x in known]
    shares = [x.value for _, x in known]
    span = f"{min(shares):.2f}" if len(shares) == 1 else f"{min(shares):.2f} to {max(shares):.2f}"
    return make_finding(
        "the declared origin of tokens says which of them an object changes",
        "AUC of what is declared for telling the tokens that really change without an object, 0.5 "
        f"by chance: {listing(parts)}",
        tests,
        figure=f"AUC {span}",
        versus="against 0.50 by chance",
    )


def experiment_finding(run: StudyRun, what: Experiment) -> Finding | None:
    """Whether an object's tokens do more than as many random ones, interface by interface."""
    tests: list[PairedTest] = []
    parts: list[str] = []
    shares: list[float] = []
    for name in interfaces_of(run):
        row = record_of(run, what, name, MAIN)
        x = interval(row, what.value)
        if row is None or x is None:
            continue
        control = control_of(run, what, name)
        beside = [] if control is None else [f"random ones {percent(control)}"]
        declared = interval(record_of(run, what, name, "declared"), what.value)
        if declared is not None:
            auc = interval(first(run.extra("audit"), interface=name), "auc")
            told = "" if auc is None else f", whose AUC is {auc.value:.2f}"
            beside.append(f"those declared its own{told}, {percent(declared.value)}")
        more = f" ({'; '.join(beside)})" if beside else ""
        parts.append(f"{name} {percent_interval(x)}{more}")
        shares.append(x.value)
        test = paired_test(row, about=f"in {name}")
        tests += [] if test is None else [test]
    if not parts:
        return None
    return make_finding(
        what.claim,
        f"{what.measured}: {listing(parts)}",
        tests,
        figure=span_of(shares),
        versus="against as many random tokens",
    )


def control_of(run: StudyRun, what: Experiment, interface: str) -> float | None:
    """Returns the share for as many random tokens."""
    if what.control is not None:
        row = record_of(run, what, interface, MAIN)
        return None if row is None else number(row, what.control)
    x = interval(record_of(run, what, interface, CONTROL), what.value)
    return None if x is None else x.value


def span_of(shares: Sequence[float]) -> str:
    """ "12%", or "12 to 80%"."""
    low, high = percent(min(shares)), percent(max(shares))
    return low if low == high else f"{low.removesuffix('%')} to {high}"
