"""The tables of Neo et al. 2024, the paper's numbers beside those of a reproduction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..report.blocks import PAPER, Column, Record, Section, Table, number_interval, percent_interval
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
Summaries = Mapping[str, Sequence[Record]]
"""Rows by mode."""


def _sources() -> str:
    told = "; ".join(f"{tag}: {text}" for tag, text in PAPER_SOURCES.items())
    return f"Letters in brackets say who tells the paper's number. {told}."


def table_1(summaries: Summaries) -> Section:
    """Token ablation; of each mode the rows under its own rules."""
    sets = [OBJECT, RING_1, RING_2, NamedSet("registers")]
    sets += [NamedSet(kind, n_drawn=n) for kind in ("gradient", "random") for n in SIZES]
    drawn = {NamedSet.of(row) for rows in summaries.values() for row in rows if row["n_drawn"]}
    sets += sorted(drawn - {*sets}, key=lambda one: (one.token_set, one.n_drawn))
    rows, records = [], []
    for tokens in sets:
        for task in TASKS:
            known = paper_number("ablation", task=task, **tokens.columns)
            record: dict[str, str | float | bool | None] = {
                **tokens.columns,
                "task": task,
                "paper": None if known is None else known.value,
                "paper_source": None if known is None else known.source,
            }
            cells = [tokens.label, task, _paper_percent(known)]
            for mode, summary in summaries.items():
                row = first(summary, task=task, **tokens.columns)
                share = interval(row, "decrease")
                none = NONE_RIGHT if not pick(summary, task=task) else NOT_RUN
                size = None if row is None else number(row, "n_tokens")
                # A set that was empty everywhere replaced nothing: its 0% is no measurement.
                empty = NONE_FOUND if size == 0 else None
                cells.append(none if share is None else empty or percent_interval(share))
                cells.append("" if size is None else f"{size:.1f}")
                record[f"{mode}_mode"] = None if share is None else share.value
                record |= {
                    f"{mode}_mode_low": None if share is None else share.low,
                    f"{mode}_mode_high": None if share is None else share.high,
                    f"{mode}_mode_n": None if share is None else share.n,
                    f"{mode}_mode_tokens": size,
                }
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
        question="Share of right answers that become wrong when these tokens are replaced by the "
        "mean visual token.",
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
            f"The paper's object with one ring has {TOKENS_OBJECT_1} of 576 tokens on average (R). "
            "“Not known” is a number that the paper has and that could not be found; no row for "
            "it is made up. “Not run”: not asked for, or this model has too few tokens.",
        ),
    )


def _paper_percent(known: PaperNumber | None) -> str:
    return UNKNOWN if known is None else f"{100 * known.value:.4g}% [{known.tag}]"


def lens_numbers(runs: Sequence[StudyRun]) -> Section:
    """The best layer of each image, counted in each way."""
    share, layer = (paper_number("lens", of=name) for name in ("share", "layer"))
    rows: list[tuple[str, ...]] = []
    records: list[Record] = []
    best = [] if not runs else pick(runs[0].extra("best_layer"), weights="trained", group="object")
    covers = covers_of(runs[0]) if runs else []
    chosen: list[Record | None] = [
        first(best, measure=measure, images=images, cover=cover)
        for measure in ("strict", "lenient")
        for cover in covers
        for images in ("all", "hitting", "mean curve")
    ]
    names = {"all": "all images", "hitting": "images that hit", "mean curve": "mean over images"}
    for row in chosen:
        if row is None:
            continue
        shown, at = interval(row, "share"), interval(row, "layer")
        cover = cover_name(number(row, "cover"))
        what = f"{row['measure']} match, {names[str(row['images'])]}, {cover}"
        layers = f"of {row['n_layers']}"
        # The paper's is a mean of maxima; the peak of a mean is another statistic.
        same = row["images"] != "mean curve"
        rows.append(
            (
                what,
                f"{100 * share.value:.1f}% [{share.tag}]" if share and same else UNKNOWN,
                "" if shown is None else percent_interval(shown),
                f"{layer.value:.1f} of 33 [{layer.tag}]" if layer and same else UNKNOWN,
                "" if at is None else f"{number_interval(at, 1)} {layers}",
                str(row["n_images"]),
            )
        )
        records.append(row)
    return Section(
        key="lens-numbers",
        title="Section 4.1: the best layer of each image",
        question="Share of the object's tokens whose most probable word is the object's name, at "
        "the layer where that share is largest.",
        sentences=() if rows else ("Not run: no image passed the lens's curation.",),
        tables=(
            Table(
                "neo2024-lens",
                "The paper does not state its rule for a match, how much of a token an object "
                "must cover, nor whether images without any hit count: so all of them are here.",
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


def table_2(summaries: Summaries) -> Section:
    """Attention knockout."""
    rows, records = [], []
    for source, target in PATHS:
        for window in WINDOWS:
            edge = {**source.columns, "target": target, "window": window}
            known = paper_number("knockout", **edge)
            record: dict[str, str | float | bool | None] = {
                **edge,
                "paper": None if known is None else known.value,
                "paper_source": None if known is None else known.source,
            }
            path = f"{source.label} → {TARGET_LABELS[target]}"
            told = UNKNOWN if known is None else f"{known.value:.2f} [{known.tag}]"
            cells = [path, window, told]
            for mode, summary in summaries.items():
                row = first(summary, **edge)
                found = interval(row, "accuracy")
                cells.append(NOT_RUN if found is None else number_interval(found))
                record[f"{mode}_mode"] = None if found is None else found.value
                record |= {
                    f"{mode}_mode_low": None if found is None else found.low,
                    f"{mode}_mode_high": None if found is None else found.high,
                    f"{mode}_mode_n": None if found is None else found.n,
                }
            rows.append(tuple(cells))
            records.append(record)
    return Section(
        key="table-2",
        title="Table 2: blocking attention",
        question="Share of the right answers that stay right while attention along a path is "
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
            "no questions, none was answered right, or the tokens have no rows.",
        ),
    )
