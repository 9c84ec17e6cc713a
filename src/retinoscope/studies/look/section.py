"""Where generated words look: attention inside the mask of the object that is named."""

from __future__ import annotations

from collections.abc import Sequence

from ...report.blocks import Interval, Record, Section, Table, file_name, percent_interval
from ...report.findings import Finding, make_finding, paired_test
from ...report.rows import first, interval, known_first, pick, values
from ...report.tables import count, shares, table, text
from ..runs import StudyRun
from .figure import MEAN, ROW_NAMES, heads_figure, layers_figure

NOUN = "where words look"
TABLE_NOTE = (
    "inside: share of a word's attention to the image that falls on its object's mask, by "
    "block and head, with its 95% interval."
)


def section(runs: Sequence[StudyRun]) -> Section:
    """Makes the section: the main model in full, further models as tables."""
    main = runs[0]
    rows = main.summary
    kinds = known_first(values(rows, "row"), tuple(ROW_NAMES))
    return Section(
        key="look",
        title="Where a word looks while it is written",
        question=(
            "Of the attention from a generated word to the image, how much lies on the object that "
            "the word names, and in which blocks and heads?"
        ),
        sentences=tuple(_sentence(main, kind) for kind in kinds),
        figures=(
            layers_figure(rows, kinds),
            *(heads_figure(pick(rows, weights="trained", row=kind), kind) for kind in kinds),
        ),
        tables=tuple(_table(run, kind, run is not main) for run in runs for kind in kinds),
        notes=(
            "Attention to the visual tokens is scaled to sum to 1 in each row, head and word. "
            "Chance is the object's share of the visual tokens; the shuffled mask is another "
            "image's. A head without attention to the image is left out and counted.",
            "The row that predicts a word and the row of the word itself are both shown: a method "
            "that reads attention at a generation step reads one or the other.",
            "After Kaduri et al. 2024 (arXiv 2411.17491).",
        ),
        finding=look_finding(main, kinds),
    )


def _best(run: StudyRun, kind: str) -> tuple[Record, Interval] | None:
    """Returns the block that looks most at the object, with its mass on other images."""
    row = first(run.extra("peaks"), weights="trained", row=kind, among="blocks")
    x = interval(row, "value", "n_samples")
    return None if row is None or x is None else (row, x)


def _sentence(run: StudyRun, kind: str) -> str:
    best = _best(run, kind)
    if best is None:
        return f"{run.label}, {ROW_NAMES[kind]}: no attention to the image at all."
    row, x = best
    text = f"{run.label}, {ROW_NAMES[kind]}: {_block(row['place'])} has the largest share of the "
    text += f"attention on the object, {percent_interval(x)} on images that did not choose it"
    if control := interval(row, "control"):
        text += f", another image's mask {percent_interval(control)}"
    record = _in_block(run.summary, kind, row)
    for name, label in (
        ("chance", "chance"),
        ("peak", "the token with most attention is on the object for"),
    ):
        if other := interval(record, name):
            text += f"; {label} {percent_interval(other)}"
            text += " of the words" if name == "peak" else ""
    untrained = interval(_in_block(run.summary, kind, row, "untrained"), "inside")
    return text + (f"; untrained copy {percent_interval(untrained)}." if untrained else ".")


def _block(place: object) -> str:
    return str(place).replace("layer", "block")


def _in_block(
    rows: Sequence[Record], kind: str, peak: Record, weights: str = "trained"
) -> Record | None:
    of_mean = pick(rows, weights=weights, row=kind, head=MEAN)
    return next((row for row in of_mean if f"layer {row['layer']}" == peak["place"]), None)


def look_finding(run: StudyRun, kinds: Sequence[str]) -> Finding | None:
    """Whether words look at their objects more than at another image's mask."""
    blocks = [(kind, *best) for kind in kinds if (best := _best(run, kind))]
    if not blocks:
        return None
    _, row, x = max(blocks, key=lambda block: block[2].value)
    control = interval(row, "control")
    tests = [test for kind, r, _ in blocks if (test := paired_test(r, about=ROW_NAMES[kind]))]
    return make_finding(
        "a word looks at the object that it names",
        " ".join(_sentence(run, kind) for kind, *_ in blocks),
        tests,
        figure=f"{x.value:.2f}",
        versus="of its attention to the image"
        + (f", against {control.value:.2f} under another image's mask" if control else ""),
    )


def _table(run: StudyRun, kind: str, folded: bool) -> Table:
    rows = pick(run.summary, row=kind)
    return table(
        file_name("look", run.label, kind),
        f"{run.label}: attention of object words, {ROW_NAMES[kind]}, mean of all heads, by block, "
        "with 95% intervals. Single heads are in the CSV file.",
        pick(rows, head=MEAN),
        (
            count("layer", "block"),
            text("weights"),
            shares("to_image", "to the image"),
            shares("inside", "share inside"),
            shares("peak", "peak inside"),
            shares("chance"),
            shares("shuffled_inside", "share, shuffled mask"),
            shares("shuffled_peak", "peak, shuffled mask"),
            shares("difference", "share minus shuffled"),
            count("n", "words"),
        ),
        rows,
        folded,
    )
