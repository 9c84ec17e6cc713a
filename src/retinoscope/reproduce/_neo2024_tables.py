"""The tables of Neo et al. 2024: the paper's numbers beside those of a reproduction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..report.blocks import (
    PAPER,
    Column,
    Interval,
    Record,
    Section,
    Table,
    Value,
    number_interval,
    percent_interval,
)
from ..report.rows import first, interval, number, pick
from ..studies import PAPER_SOURCES, TOKENS_OBJECT_1, PaperNumber, paper_number
from ..studies.knockout.options import TARGET_LABELS
from ..studies.lens.curves import cover_name, covers_of
from ..studies.runs import StudyRun
from ..studies.token_sets import OBJECT, RING_1, RING_2, NamedSet

TASKS = ("generative", "polling", "question")
SIZES = (5, 10, 20, 40, 60, 100, 250)
WINDOWS = ("early", "early-mid", "mid", "mid-late", "late", "all")
PATHS = (
    *((source, "last") for source in (OBJECT, RING_1, RING_2, NamedSet("rest"))),
    *((source, "last-row") for source in (RING_1, NamedSet("visual"))),
)
UNKNOWN, NOT_RUN, NONE_RIGHT = "not known", "not run", "none right"
NONE_FOUND = "none found"
IMAGES = {"all": "all images", "hitting": "images that hit", "mean curve": "mean over images"}
Summaries = Mapping[str, Sequence[Record]]
"""Mode -> rows."""


def _sources() -> str:
    sources = "; ".join(f"{tag}: {text}" for tag, text in PAPER_SOURCES.items())
    return f"Letters in brackets give the source of the paper's number. {sources}."


def table_1(summaries: Summaries) -> Section:
    """Table of token ablation; each mode's rows are under its own rules."""
    rows, records = [], []
    for tokens in _token_sets(summaries):
        for task in TASKS:
            known = paper_number("ablation", task=task, **tokens.columns)
            record = {**tokens.columns, "task": task, **_of_paper(known)}
            cells = [tokens.label, task, _paper_percent(known)]
            for mode, summary in summaries.items():
                row = first(summary, task=task, **tokens.columns)
                share = interval(row, "decrease")
                none = NONE_RIGHT if not pick(summary, task=task) else NOT_RUN
                size = None if row is None else number(row, "n_tokens")
                # A set that was empty everywhere replaced nothing, so its 0% measures nothing.
                empty = NONE_FOUND if size == 0 else None
                cells.append(none if share is None else empty or percent_interval(share))
                cells.append("" if size is None else f"{size:.1f}")
                record |= _of_mode(mode, share) | {f"{mode}_mode_tokens": size}
            rows.append(tuple(cells))
            records.append(record)
    columns = [
        Column("tokens replaced", numeric=False),
        Column("task", numeric=False),
        Column("the paper", hint=PAPER),
    ]
    for mode in summaries:
        columns += [Column(f"{mode} mode"), Column("tokens")]
    return Section(
        key="table-1",
        title="Table 1: replacing tokens",
        question="The share of correct answers that become wrong when these tokens are replaced "
        "by the mean visual token.",
        tables=(
            Table(
                "neo2024-table-1",
                "Decrease, with 95% intervals, and the mean number of tokens.",
                tuple(columns),
                tuple(rows),
                tuple(records),
            ),
        ),
        notes=(
            _sources(),
            f"The paper's object with one ring has {TOKENS_OBJECT_1} of 576 tokens on average "
            "(R). “Not known” marks a number of the paper that could not be found; none is made "
            "up. “Not run”: not asked for, or this model has too few tokens.",
        ),
    )


def _token_sets(summaries: Summaries) -> list[NamedSet]:
    """Returns the paper's sets, then those of other sizes drawn here."""
    sets = [OBJECT, RING_1, RING_2, NamedSet("registers")]
    sets += [NamedSet(kind, n_drawn=n) for kind in ("gradient", "random") for n in SIZES]
    drawn = {NamedSet.of(row) for rows in summaries.values() for row in rows if row["n_drawn"]}
    return sets + sorted(drawn - {*sets}, key=lambda tokens: (tokens.token_set, tokens.n_drawn))


def _of_paper(known: PaperNumber | None) -> dict[str, Value]:
    """Returns the paper's number as entries of a record."""
    return {
        "paper": None if known is None else known.value,
        "paper_source": None if known is None else known.source,
    }


def _of_mode(mode: str, measured: Interval | None) -> dict[str, Value]:
    """Returns one mode's measurement as entries of a record."""
    return {
        f"{mode}_mode": None if measured is None else measured.value,
        f"{mode}_mode_low": None if measured is None else measured.low,
        f"{mode}_mode_high": None if measured is None else measured.high,
        f"{mode}_mode_n": None if measured is None else measured.n,
    }


def _paper_percent(known: PaperNumber | None) -> str:
    return UNKNOWN if known is None else f"{100 * known.value:.4g}% [{known.tag}]"


def lens_numbers(runs: Sequence[StudyRun]) -> Section:
    """Section on the best layer of each image, counted in each way."""
    records = [] if not runs else _best_layers(runs[0])
    rows = [_best_layer_cells(row) for row in records]
    return Section(
        key="lens-numbers",
        title="Section 4.1: the best layer of each image",
        question="The share of the object's tokens whose most probable word is its name, at the "
        "layer where that share is largest.",
        sentences=() if rows else ("Not run: no image passed the lens's curation.",),
        tables=(
            Table(
                "neo2024-lens",
                "The paper states neither its rule for a match, nor how much of a token an object "
                "must cover, nor whether images without any match count, so all variants are "
                "given.",
                (
                    Column("how it is counted", numeric=False),
                    *(Column("share, the paper", hint=PAPER), Column("share, here")),
                    *(Column("layer, the paper", hint=PAPER), Column("layer, here")),
                    Column("images"),
                ),
                tuple(rows),
                tuple(records),
            ),
        )
        if rows
        else (),
        notes=(
            _sources(),
            "Layers here count from 0 (the decoder's input); whether the paper's 33 entries count "
            "from 0 or 1 is not stated. The curve by layer is not known for the paper.",
        ),
    )


def _best_layers(run: StudyRun) -> list[Record]:
    best = pick(run.extra("best_layer"), weights="trained", group="object")
    chosen = [
        first(best, measure=measure, images=images, cover=cover)
        for measure in ("strict", "lenient")
        for cover in covers_of(run)
        for images in IMAGES
    ]
    return [row for row in chosen if row is not None]


def _best_layer_cells(row: Record) -> tuple[str, ...]:
    share, layer = (paper_number("lens", of=name) for name in ("share", "layer"))
    shown, at = interval(row, "share"), interval(row, "layer")
    # The paper's number is a mean of maxima; the peak of the mean curve is another statistic.
    same = row["images"] != "mean curve"
    return (
        f"{row['measure']} match, {IMAGES[str(row['images'])]}, {cover_name(number(row, 'cover'))}",
        f"{100 * share.value:.1f}% [{share.tag}]" if share and same else UNKNOWN,
        "" if shown is None else percent_interval(shown),
        f"{layer.value:.1f} of 33 [{layer.tag}]" if layer and same else UNKNOWN,
        "" if at is None else f"{number_interval(at, 1)} of {row['n_layers']}",
        str(row["n_images"]),
    )


def table_2(summaries: Summaries) -> Section:
    """Section on attention knockout."""
    rows, records = [], []
    for source, target in PATHS:
        for window in WINDOWS:
            edge = {**source.columns, "target": target, "window": window}
            known = paper_number("knockout", **edge)
            record = edge | _of_paper(known)
            path = f"{source.label} → {TARGET_LABELS[target]}"
            published = UNKNOWN if known is None else f"{known.value:.2f} [{known.tag}]"
            cells = [path, window, published]
            for mode, summary in summaries.items():
                row = first(summary, **edge)
                accuracy = interval(row, "accuracy")
                cells.append(NOT_RUN if accuracy is None else number_interval(accuracy))
                record |= _of_mode(mode, accuracy)
            rows.append(tuple(cells))
            records.append(record)
    return Section(
        key="table-2",
        title="Table 2: blocking attention",
        question="The share of correct answers that stay correct while attention along a path is "
        "blocked in a window of layers; 1.00 means no impact.",
        tables=(
            Table(
                "neo2024-table-2",
                "Relative accuracy, with 95% intervals.",
                (
                    Column("path", numeric=False),
                    Column("layers", numeric=False),
                    Column("the paper", hint=PAPER),
                    *(Column(f"{mode} mode") for mode in summaries),
                ),
                tuple(rows),
                tuple(records),
            ),
        ),
        notes=(
            _sources(),
            "Windows are the released code's, scaled to this model's depth. “Not run”: there were "
            "no questions, none was answered correctly, or the tokens have no rows.",
        ),
    )
