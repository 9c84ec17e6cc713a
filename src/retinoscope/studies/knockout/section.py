"""Section 3: along which attention edges the answer gets what it needs."""

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
    number_interval,
)
from ...report.findings import Finding, make_finding, paired_test, sentence_of
from ...report.rows import first, interval, known_first, number, pick, values
from ...report.tables import Write, cell, table
from .._run_tables import extra_tables
from ..runs import StudyRun
from ..token_sets import RING_1, NamedSet
from ..windows import SLIDING
from .figure import sliding_figure, windows_figure
from .options import TARGET_LABELS, TARGETS, WINDOWS

NOUN = "attention knockout"
VIEWS = ("flow",)
TABLE_NOTE = (
    "accuracy: share of initially correct answers that stay correct, 1.00 meaning no impact, with"
    " its 95% interval."
)

MAIN, REST = RING_1, NamedSet("rest")


def section(runs: Sequence[StudyRun]) -> Section:
    """Makes the section: the main model in full, further models as tables."""
    main = runs[0]
    rows = main.summary
    windows = known_first([w for w in values(rows, "window") if w != SLIDING], WINDOWS)
    targets = known_first(values(rows, "target"), TARGETS)
    measures = ("accuracy", "probability_change") if windows else ()
    figures = [windows_figure(rows, targets, windows, measure) for measure in measures]
    sliding = pick(rows, window=SLIDING)
    if sliding:
        figures.append(sliding_figure(sliding, known_first(values(sliding, "target"), TARGETS)))
    sentences = [_effect(main, target) for target in targets]
    sentences.append(_last_row(main))
    others = [knockout_finding(run) for run in runs[1:]]
    sentences += [finding.sentence for finding in others if finding]
    return Section(
        key="knockout",
        title="How it reaches the answer: attention knockout",
        question=(
            "Attention from some tokens to others is blocked in a window of layers. How much of "
            "the accuracy is left?"
        ),
        sentences=tuple(s for s in sentences if s),
        figures=tuple(figures),
        tables=tuple(_table(run, folded=run is not main) for run in runs)
        + extra_tables(runs, "knockout", "baseline", "accuracy before any edit."),
        notes=(
            "Relative accuracy: the share of initially correct answers that stay correct; 1.00 "
            "means no impact. Blocked pairs are masked before the softmax, in every head, so the "
            "other weights still sum to one.",
            "Windows are those of the paper, scaled to this model's number of layers.",
        ),
        finding=knockout_finding(main),
    )


def accuracy(rows: Sequence[Record], source: NamedSet, target: str, window: str) -> Interval | None:
    return interval(_record(rows, source, target, window), "accuracy")


def _paper(rows: Sequence[Record], source: NamedSet, target: str, window: str) -> float | None:
    return number(_record(rows, source, target, window) or {}, "paper")


def _record(rows: Sequence[Record], source: NamedSet, target: str, window: str) -> Record | None:
    return first(rows, **source.columns, target=target, window=window)


def _effect(run: StudyRun, target: str) -> str:
    row = _peak(run, target)
    measured, control = interval(row, "value", "n_samples"), interval(row, "control")
    if row is None or measured is None:
        return ""
    text = f"From the object (+ 1 ring) to the {TARGET_LABELS.get(target, target)}: "
    text += _least(run, row, measured)
    everywhere = accuracy(run.summary, MAIN, target, "all")
    if everywhere:
        text += f" (blocked in all layers: {number_interval(everywhere)})"
    if control is None:
        return text + "."
    test = paired_test(row, sign=-1)
    text += f", as many random tokens {number_interval(control)}."
    return text if test is None else f"{text} {sentence_of(test)}"


def _peak(run: StudyRun, target: str, source: NamedSet = MAIN) -> Record | None:
    """Returns the most important named window, judged on images that did not choose it."""
    return first(run.extra("peaks"), **source.columns, target=target, windows="named")


def _tied(run: StudyRun, row: Record) -> tuple[list[str], bool]:
    """Returns the windows tied with a peak's, and whether these are all there are."""
    accuracies = {
        window: x.value
        for window in WINDOWS
        if window != "all"
        and (x := accuracy(run.summary, NamedSet.of(row), str(row["target"]), window))
    }
    least = min(accuracies.values(), default=0.0)
    # Equal shares differ by rounding only.
    tied = [window for window, value in accuracies.items() if value - least < 1e-9]
    return tied or [str(row["place"])], len(tied) == len(accuracies) > 1


def _least(run: StudyRun, row: Record, x: Interval) -> str:
    tied, every = _tied(run, row)
    if every:
        return f"no window stands out; each leaves {number_interval(x)}"
    return (
        f"blocking {listing(tied)} layers leaves the least accuracy, {number_interval(x)} on "
        "images that did not choose the window"
    )


def _last_row(run: StudyRun) -> str:
    row = _peak(run, "last-row", REST)
    x = interval(row, "value", "n_samples")
    if row is None or x is None:
        return ""
    text = (
        f"From all other visual tokens to the last visual row: {_least(run, row, x)}. The answer "
        "would need this path if the image were summarised in the last row."
    )
    known = _paper(run.summary, REST, "last-row", str(row["place"]))
    return text if known is None else f"{text} The paper: {known:.2f} ({PAPER})."


def knockout_finding(run: StudyRun) -> Finding | None:
    """Whether the answer needs the edge from the object to the last token.

    The verdict is that of all layers, which involves no choice; without it, of every window.
    """
    rows, model = run.summary, run.label
    windows = known_first([w for w in values(rows, "window") if w != SLIDING], WINDOWS)
    parts = [w for w in windows if w != "all"]
    tested = ["all"] if accuracy(rows, MAIN, "last", "all") else parts
    measured = [(w, x) for w in tested if (x := accuracy(rows, MAIN, "last", w))]
    if not measured:
        return None
    tests = [
        test
        for w, _ in measured
        if (
            test := paired_test(
                _row(rows, w), sign=-1, about="" if w == "all" else f"in {w} layers"
            )
        )
    ]
    lowest = min((x for _, x in measured), key=lambda x: x.value)
    controls = [x for w, _ in measured if (x := accuracy(rows, MAIN.control, "last", w))]
    sentence = "Blocking attention from the object (+ 1 ring) to the last token "
    sentence += listing(
        [f"{'in all layers' if w == 'all' else f'in {w} layers'} leaves {number_interval(x)}"
         for w, x in measured]
    )  # fmt: skip
    sentence += f" of the accuracy of {model}"
    if controls:
        sentence += (
            f"; as many random tokens leave {listing([number_interval(x) for x in controls])}"
        )
    quoted = [
        f"{known:.2f} ({name})"
        for name in ("mid-late", "all")
        if (known := _paper(rows, MAIN, "last", name)) is not None
    ]
    return make_finding(
        "the answer reads the object directly",
        sentence,
        tests,
        figure=f"{lowest.value:.2f}",
        versus="of the accuracy"
        + (f", against {min(x.value for x in controls):.2f} for random tokens" if controls else ""),
        follows=_strongest_window(run) if tested == ["all"] else "",
        paper=listing(quoted),
    )


def _row(rows: Sequence[Record], window: str) -> Record | None:
    return _record(rows, MAIN, "last", window)


def _strongest_window(run: StudyRun) -> str:
    row = _peak(run, "last")
    measured, control = interval(row, "value", "n_samples"), interval(row, "control")
    if row is None or measured is None or control is None or int(row["n_candidates"] or 0) < 2:
        return ""
    tied, every = _tied(run, row)
    beside = f"{number_interval(measured)}, random tokens {number_interval(control)}."
    if every:
        return f"No single window stands out: each leaves {beside}"
    if len(tied) > 1:
        return (
            f"Of the single windows {listing(tied)} matter most, equally: on images that did not "
            f"choose the window they leave {beside}"
        )
    return (
        f"Of the single windows {tied[0]} matters most: on images that did not choose it, "
        f"it leaves {beside}"
    )


def _table(run: StudyRun, folded: bool) -> Table:
    rows = [row for row in run.summary if row["window"] != SLIDING]
    windows = known_first(values(rows, "window"), WINDOWS)
    edges = [
        (source, target)
        for target in known_first(values(rows, "target"), TARGETS)
        for source in dict.fromkeys(NamedSet.of(row) for row in pick(rows, target=target))
    ]

    def write(window: str) -> Write:
        def at(edge: tuple[NamedSet, str]) -> str:
            x, known = accuracy(rows, *edge, window), _paper(rows, *edge, window)
            text = number_interval(x).replace(" (", "\n(") if x else ""
            return text if known is None else f"{text}\npaper {known:.2f}"

        return at

    return table(
        file_name("knockout", run.label),
        f"{run.label}: relative accuracy (1.00 = no impact) with 95% intervals, by window of "
        "layers. Sliding windows are in the CSV file.",
        edges,
        (
            cell("from", lambda edge: edge[0].label, numeric=False),
            cell("to", lambda edge: TARGET_LABELS.get(edge[1]) or edge[1], numeric=False),
            *(cell(window, write(window)) for window in windows),
        ),
        run.summary,
        folded,
    )
