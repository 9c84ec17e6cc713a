"""Section 1: what is lost when an object's tokens are replaced."""

from __future__ import annotations

from collections.abc import Sequence

from ...report.blocks import (
    PAPER,
    Interval,
    Record,
    Section,
    Table,
    file_name,
    listing,
    percent,
    percent_interval,
)
from ...report.findings import Finding, make_finding, paired_test, sentence_of
from ...report.rows import first, interval, known_first, number, pick, values
from ...report.tables import Write, cell, table
from ...tokens import COMPLETE
from .._run_tables import extra_tables
from ..runs import StudyRun
from ..token_sets import RING_1, NamedSet
from .figure import conditions_figure, count_figure
from .options import TASKS

NOUN = "token ablation"
TABLE_NOTE = (
    "decrease: share of initially correct answers that became wrong, with its 95% interval; "
    "difference: minus the same for as many random tokens outside the set."
)

TASK_NAMES = {
    "generative": "naming it in a caption",
    "polling": "saying yes to “Is there a …?”",
    "question": "answering a question about it",
}
_SHORT = {"generative": "caption", "polling": "yes/no", "question": "question"}
_PLURAL = {"generative": "captions", "polling": "yes/no questions", "question": "questions"}
MODE = "corrected"
MODES = (MODE, "whole-word", "paper")
MAIN = RING_1


def section(runs: Sequence[StudyRun]) -> Section:
    """Makes the section: the main model in full, every further model as a table."""
    main = runs[0]
    rows = pick(main.summary, mode=MODE) or main.summary
    tasks = known_first(values(rows, "task"), TASKS)
    # A set that was empty everywhere replaced nothing, so its 0% measures nothing.
    filled = [row for row in rows if number(row, "n_tokens") != 0]
    figures = [conditions_figure(filled, tasks), count_figure(rows, tasks)]
    return Section(
        key="ablation",
        title="Where an object is: replacing tokens by the mean",
        question=(
            "Some visual tokens are replaced by one mean token before the language model reads "
            "them. How many correct answers become wrong, and how many when as many tokens are "
            "replaced elsewhere?"
        ),
        sentences=tuple(_sentence(rows, task) for task in tasks)
        + _registers(rows, tasks)
        + _others(runs[1:]),
        figures=tuple(figure for figure in figures if figure),
        tables=tuple(
            _table(run, mode, folded=not (run is main and mode == MODE))
            for run in runs
            for mode in known_first(values(run.summary, "mode"), MODES)
        )
        + extra_tables(runs, "ablation", "baseline", "accuracy before any edit."),
        notes=(
            *_integration(main),
            "Decrease: the share of answers that were correct on the clean run and are wrong on "
            "the edited one. For each image, as many random tokens are drawn outside the set that "
            "they are compared with.",
            "Mode “corrected” matches whole words with plurals and synonyms and decides yes or no "
            "by comparing the two logits; mode “paper” keeps the rules of the paper's released "
            "code, such as substring matching; mode “whole-word” looks for the answer to a "
            "question in the generated text instead of comparing its first token.",
            "Intervals: Wilson's, with the effective number of independent cases where an image "
            "gives several.",
        ),
        finding=ablation_finding(rows, tasks, main.label),
    )


def decrease(rows: Sequence[Record], task: str, tokens: NamedSet) -> Interval | None:
    return interval(first(rows, task=task, **tokens.columns), "decrease")


def ablation_finding(rows: Sequence[Record], tasks: Sequence[str], model: str) -> Finding | None:
    """Whether the object's tokens lose more than as many random ones, task by task."""
    pairs = [
        (task, row, a, b)
        for task in tasks
        if (row := first(rows, task=task, **MAIN.columns)) is not None
        and (a := interval(row, "decrease"))
        and (b := decrease(rows, task, MAIN.control))
    ]
    if not pairs:
        return None
    lost = listing([percent(a.value) for *_, a, _ in pairs])
    control = listing([percent(b.value) for *_, b in pairs])
    names = listing([_SHORT.get(task, task) for task, *_ in pairs])
    known = [
        (share, _SHORT.get(task, task))
        for task, row, *_ in pairs
        if (share := number(row, "paper")) is not None
    ]
    tests = [
        test
        for task, row, *_ in pairs
        if (test := paired_test(row, about=f"for {_PLURAL.get(task, task)}"))
    ]
    return make_finding(
        "objects are local",
        f"On {model}, replacing an object's tokens and one ring around them loses {lost} of the "
        f"correct answers ({names}); as many random tokens elsewhere lose {control}",
        tests,
        figure=_span([a.value for *_, a, _ in pairs]),
        versus=f"against {_span([b.value for *_, b in pairs])} for as many random tokens",
        paper=listing([f"{percent(share)} ({name})" for share, name in known]),
    )


def _span(shares: Sequence[float]) -> str:
    low, high = percent(min(shares)), percent(max(shares))
    return low if low == high else f"{low.removesuffix('%')} to {high}"


def _sentence(rows: Sequence[Record], task: str) -> str:
    row = first(rows, task=task, **MAIN.columns)
    measured, control = decrease(rows, task, MAIN), decrease(rows, task, MAIN.control)
    name = TASK_NAMES.get(task, task)
    if row is None or measured is None:
        return f"{_capital(name)}: no answer was correct to begin with, so nothing can be lost."
    tokens = number(row, "n_tokens")
    size = f" ({tokens:.0f} tokens on average)" if tokens else ""
    text = (
        f"{_capital(name)}: without the object's tokens and one ring{size}, "
        f"{percent_interval(measured)} of {measured.n} correct answers become wrong"
    )
    if control is None:
        return text + "; no control was run."
    text += f"; with as many random tokens, {percent_interval(control)}"
    test = paired_test(row)
    return f"{text}." if test is None else f"{text}. {sentence_of(test)}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _others(runs: Sequence[StudyRun]) -> tuple[str, ...]:
    """Returns the result of every further model in one sentence."""
    sentences = []
    for run in runs:
        rows = pick(run.summary, mode=MODE) or run.summary
        finding = ablation_finding(rows, known_first(values(rows, "task"), TASKS), run.label)
        sentences += [finding.sentence] if finding else []
    return tuple(sentences)


def _registers(rows: Sequence[Record], tasks: Sequence[str]) -> tuple[str, ...]:
    decreases = [x for task in tasks if (x := decrease(rows, task, NamedSet("registers")))]
    sizes = [
        size
        for task in tasks
        if (row := first(rows, task=task, token_set="registers"))
        and (size := number(row, "n_tokens")) is not None
    ]
    if not decreases or not sizes:
        return ()
    if not any(sizes):
        return ("No visual token stands out by its norm, so there are no register tokens.",)
    return (
        f"Register tokens (norm above the mean by more than two standard deviations; "
        f"{sum(sizes) / len(sizes):.1f} per image): replacing them loses "
        f"{_span([x.value for x in decreases])}.",
    )


def _integration(run: StudyRun) -> tuple[str, ...]:
    """Returns a note on integrated gradients that do not add up."""
    count, every = run.incomplete
    if not count:
        return ()
    return (
        "Integrated gradients: summed over the visual tokens they should equal the change of the "
        f"logit. In {count} of {every} rows of gradient sets the sum is off by more than "
        f"{COMPLETE:.0%}, so these sets are only roughly those of highest gradient. More steps "
        "(--gradient-steps) reduce the error.",
    )


def _table(run: StudyRun, mode: str, folded: bool) -> Table:
    rows = pick(run.summary, mode=mode)

    def size(tokens: NamedSet) -> float | None:
        numbers = (number(row, "n_tokens") for row in pick(rows, **tokens.columns))
        sizes = [n for n in numbers if n is not None]
        return sum(sizes) / len(sizes) if sizes else None

    def lost(task: str) -> Write:
        def of(tokens: NamedSet) -> str:
            if size(tokens) == 0:
                return "none found"
            loss, control = (decrease(rows, task, t) for t in (tokens, tokens.control))
            if loss is None:
                return ""
            return percent_interval(loss) + (f"\n{percent_interval(control)}" if control else "")

        return of

    def paper(task: str) -> Write:
        def of(tokens: NamedSet) -> str:
            known = number(first(rows, task=task, **tokens.columns) or {}, "paper")
            return "" if known is None or size(tokens) == 0 else percent(known)

        return of

    return table(
        file_name("ablation", run.label, mode),
        f"{run.label}, mode “{mode}”: share of correct answers lost, with 95% intervals. Second "
        "line: as many random tokens elsewhere.",
        dict.fromkeys(NamedSet.of(row) for row in pick(rows, is_control=False)),
        (
            cell("tokens replaced", lambda tokens: tokens.label, numeric=False),
            cell(
                "how many,\non average",
                lambda tokens: "" if (n := size(tokens)) is None else f"{n:.1f}",
            ),
            *(
                spec
                for task in known_first(values(rows, "task"), TASKS)
                for spec in (
                    cell(f"{_SHORT.get(task, task)}\nrandom control", lost(task)),
                    cell("paper", paper(task), hint=PAPER),
                )
            ),
        ),
        rows,
        folded,
    )
