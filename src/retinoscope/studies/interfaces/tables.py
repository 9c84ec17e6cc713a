"""Tables of the comparison."""

from __future__ import annotations

from collections.abc import Callable

from ...report.blocks import (
    Interval,
    Table,
    file_name,
    number_interval,
    percent,
    percent_interval,
)
from ...report.rows import first, interval, known_first, number, pick, values
from ...report.tables import Spec, Write, cell, plain_number, table, text
from ..runs import StudyRun
from .findings import EXPERIMENTS, Experiment, interfaces_of, record_of
from .options import MEASURES, SETS

_HALLUCINATION = {
    "present": "yes on\npresent kinds",
    "absent": "yes on\nabsent kinds",
    "present-adversarial": "yes on present\nkinds, on a ground",
    "absent-adversarial": "yes on absent kinds\nthat fit the ground",
    "caption-precision": "kinds of a description\nthat are present",
}


def tables_of(run: StudyRun, folded: bool) -> tuple[Table, ...]:
    """Returns the main tables of a run that have rows."""
    made = (_questions, _sizes, _hallucination, _audit, _experiments)
    return tuple(table for make in made if (table := make(run, folded)).rows)


def measures_of(run: StudyRun) -> list[str]:
    """Returns what was asked in the scenes of a run."""
    return known_first(values(run.summary, "measure"), tuple(MEASURES))


def name_of(run: StudyRun, of: str) -> str:
    """Returns the name of one of a run's tables, and of its file."""
    return file_name("interfaces", run.label, of)


def _by_interface(run: StudyRun, write: Write) -> list[Spec]:
    """A column for each interface; `write` takes a row and its name."""
    return [cell(name, lambda row, name=name: write((row, name))) for name in interfaces_of(run)]


def written(x: Interval | None, write: Callable[[Interval], str] = percent_interval) -> str:
    """Returns an estimate with its interval below; nothing if it is undefined."""
    return "" if x is None else write(x).replace(" (", "\n(")


def estimate(
    of: str, label: str, write: Callable[[Interval], str] = percent_interval, hint: str = ""
) -> Spec:
    """A column of estimates with their intervals below."""
    return cell(label, lambda row: written(interval(row, of), write), hint=hint)


def _questions(run: StudyRun, folded: bool) -> Table:
    def share(of: tuple[str, str]) -> str:
        measure, name = of
        return written(interval(first(run.summary, interface=name, measure=measure), "share"))

    def constant(measure: str) -> str:
        row = first(run.summary, measure=measure)
        value = None if row is None else number(row, "constant")
        return "" if value is None else percent(value)

    def asked(measure: str) -> str:
        return str(max(int(row["n"] or 0) for row in pick(run.summary, measure=measure)))

    return table(
        name_of(run, "questions"),
        "Right answers by kind of question, with 95% intervals over scenes; of "
        "absent kinds the share of yes, which is wrong.",
        measures_of(run),
        (
            cell("question", lambda measure: MEASURES.get(measure) or measure, numeric=False),
            *_by_interface(run, share),
            cell("always the most\nfrequent answer", constant),
            cell("asked", asked),
        ),
        run.summary,
        folded,
    )


def _sizes(run: StudyRun, folded: bool) -> Table:
    rows = run.extra("sizes")
    keys = [
        (measure, size)
        for measure in known_first(values(rows, "measure"), tuple(MEASURES))
        for size in ("small", "large")
        if len(values(pick(rows, measure=measure), "size")) > 1
    ]

    def share(of: tuple[tuple[str, str], str]) -> str:
        (measure, size), name = of
        row = first(rows, interface=name, measure=measure, size=size)
        return written(interval(row, "share"))

    def asked(key: tuple[str, str]) -> str:
        of_key = pick(rows, measure=key[0], size=key[1])
        return str(max((int(row["n"] or 0) for row in of_key), default=0))

    return table(
        name_of(run, "sizes"),
        "Right answers by the size of the object that a question is about; small "
        "ones have a radius of at most 12 pixels.",
        keys,
        (
            cell("question", _with_size, numeric=False),
            *_by_interface(run, share),
            cell("asked", asked),
        ),
        rows,
        folded,
    )


def _with_size(key: tuple[str, str]) -> str:
    return f"{MEASURES.get(key[0], key[0])}\n{key[1]}"


def _hallucination(run: StudyRun, folded: bool) -> Table:
    def share(measure: str) -> Write:
        return lambda name: written(
            interval(first(run.summary, interface=name, measure=measure), "share")
        )

    asked = [measure for measure in _HALLUCINATION if measure in measures_of(run)]
    return table(
        name_of(run, "hallucination"),
        "Hallucination. An interface that says yes to everything finds all present "
        "kinds, so both are shown.",
        interfaces_of(run) if "absent" in asked else (),
        (
            cell("interface", str, numeric=False),
            *(cell(_HALLUCINATION[measure], share(measure)) for measure in asked),
        ),
        [row for row in run.summary if row["measure"] in asked],
        folded,
    )


def _audit(run: StudyRun, folded: bool) -> Table:
    return table(
        name_of(run, "audit"),
        "Tokens that really change when an object is left out, and what is declared "
        "about them, with 95% intervals over scenes.",
        run.extra("audit"),
        (
            text("interface"),
            cell("declared by", lambda row: _DECLARED[str(row["declared_by"])], numeric=False),
            estimate("auc", "AUC", number_interval),
            estimate("rank", "rank\ncorrelation", number_interval),
            plain_number("n_tokens", "tokens", 0),
            estimate("changed", "really\nchanged"),
            estimate("concentration", "of the change,\nin as many", hint=_CONCENTRATION),
            cell("objects\nwithout AUC", lambda row: f"{row['n']}\n{row['n_undefined']}"),
        ),
        folded=folded,
    )


_CONCENTRATION = "share of the whole change that lies in the tokens taken as the object's"
_DECLARED = {"boxes": "boxes", "attention": "where queries looked", "none": "nothing"}


def _experiments(run: StudyRun, folded: bool) -> Table:
    """The paper's three experiments, a row for each interface and way to choose tokens."""
    keys = [
        (name, source)
        for name in interfaces_of(run)
        for source in SETS
        if any(_share(run, what, name, source) for what in EXPERIMENTS)
    ]

    def auc(key: tuple[str, str]) -> str:
        x = interval(first(run.extra("audit"), interface=key[0]), "auc")
        return "" if x is None or key[1] != "declared" else f"{x.value:.2f}"

    def size(key: tuple[str, str]) -> str:
        row = first(run.extra("edits"), interface=key[0], token_set=key[1])
        n = None if row is None else number(row, "n_tokens")
        return "" if n is None else f"{n:.0f}"

    def answered(key: tuple[str, str]) -> str:
        row = first(run.extra("edits"), interface=key[0], token_set=key[1])
        return "" if row is None else str(row["n"])

    def share(what: Experiment) -> Write:
        return lambda key: written(_share(run, what, *key))

    colour = EXPERIMENTS[1]._replace(keys={"word": "colour", "measure": "top1"})
    ablated, named, hidden = EXPERIMENTS
    return table(
        name_of(run, "experiments"),
        "The paper's three experiments, at as many tokens by each rule, with 95% "
        "intervals. AUC: how well what is declared tells the tokens that really change.",
        keys,
        (
            cell(
                "tokens",
                lambda key: f"{key[0]}\n{SETS.get(key[1], key[1])}",
                numeric=False,
            ),
            cell("AUC", auc),
            cell("how many", size),
            cell("replaced:\nanswers lost", share(ablated)),
            cell("say the\nname", share(named)),
            cell("say the\ncolour", share(colour)),
            cell("hidden from last:\nanswers lost", share(hidden)),
            cell("right\nanswers", answered),
        ),
        [
            {**row, "experiment": what.title}
            for what in (ablated, named, colour, hidden)
            for row in pick(run.extra(what.table), **what.keys)
        ],
        folded,
    )


def _share(run: StudyRun, what: Experiment, interface: str, source: str) -> Interval | None:
    if source == "random" and what.control is not None:
        return interval(record_of(run, what, interface, "changed"), what.control)
    return interval(record_of(run, what, interface, source), what.value)
