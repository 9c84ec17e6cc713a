"""Perceptual grouping: labels of locations from text, and groups without it."""

from __future__ import annotations

from collections.abc import Sequence

from ...report.blocks import (
    Interval,
    Record,
    Section,
    Table,
    file_name,
    number_interval,
    percent_interval,
)
from ...report.findings import (
    Finding,
    PairedTest,
    chosen_of,
    make_finding,
    paired_test,
    sentence_of,
)
from ...report.rows import interval, number, pick, values
from ...report.tables import Spec, cell, count, table, text
from ..runs import StudyRun
from .aggregation_section import PAPER_NOTE, aggregation_finding, aggregation_parts
from .figure import bottom_up_figure, top_down_figure

NOUN = "perceptual grouping"
VIEWS = ("maps",)
TABLE_NOTE = (
    "value: with its 95% interval over images; labels from text are scored against classes, "
    "groups against instances."
)

_BACKGROUND = {
    "none": "pixels without an object do not count",
    "prompts": "background prompts compete",
    "rest": "background has the probability that the class words leave",
    "truth": "background is a class",
}


def section(runs: Sequence[StudyRun]) -> Section:
    """Makes the section: the first run in full, further runs as tables."""
    main = runs[0]
    rows = main.summary
    models = [str(model) for model in values(rows, "model")]
    by_seed, drawn, tables = aggregation_parts(main)
    # Encoders that are compared by seed are shown together, and separately in tables only.
    models = models if not by_seed else []
    figures = [
        figure
        for model in models
        for figure in (
            top_down_figure(main, pick(rows, model=model), model),
            bottom_up_figure(main, pick(rows, model=model), model),
        )
        if figure is not None
    ]
    sentences = [s for model in models for s in _sentences(pick(rows, model=model), model)]
    return Section(
        key="group",
        title="What belongs together",
        question=(
            "Which class does each location of an image get from text, and which locations are "
            "grouped by their features without text?"
        ),
        sentences=(*by_seed, *sentences),
        figures=(*drawn, *figures),
        tables=(
            *tables,
            *(
                table
                for run in runs
                for model in values(run.summary, "model")
                for table in _tables(run, str(model), run is not main or bool(by_seed))
            ),
        ),
        notes=(
            "Mean IoU is that of the data set's confusion matrix. A class that occurs neither in "
            "the truth nor in predictions is left out; one that is predicted but never occurs "
            "counts as 0. Ignored pixels, and those that no location covers, count on neither "
            "side.",
            "The bound is the largest IoU that each class can reach with one label per location; "
            "no method with one label per location can exceed it. Constant is the best single "
            "label for all pixels. Both use the truth.",
            "Swapped prompts give each class the prompt (or word, or map) of another one.",
            "Overlap of groups is the Jaccard index of an instance with the group that fits it "
            "best (chosen with the truth) and with its group in a one-to-one matching. Groups "
            "made without features overlap, too: the difference is taken from the strongest of "
            "random groups, Voronoi blobs and superpixels.",
            "After Ranasinghe et al. 2022 (arXiv 2210.09996).",
            *((PAPER_NOTE,) if by_seed else ()),
        ),
        finding=aggregation_finding(main) if by_seed else grouping_finding(rows),
    )


def _best(rows: Sequence[Record]) -> tuple[Record, Interval] | None:
    measured = [(row, x) for row in rows if (x := interval(row, "value"))]
    return max(measured, key=lambda pair: pair[1].value) if measured else None


def _asked(rows: Sequence[Record], kind: str) -> list[Record]:
    """Returns the trained models' own conditions, without nulls and bounds."""
    return [row for row in pick(rows, kind=kind, weights="trained") if row["control"] is not None]


def _sentences(rows: Sequence[Record], model: str) -> list[str]:
    sentences: list[str] = []
    for background in values(_asked(rows, "top-down"), "background"):
        best = _best(pick(_asked(rows, "top-down"), background=background, candidates="all"))
        if best is not None:
            sentences.append(_of_labels(rows, model, *best))
    best = _best(_asked(rows, "bottom-up"))
    if best is not None:
        sentences.append(_of_groups(rows, model, *best))
    for row in pick(rows, kind="classification"):
        x = interval(row, "value")
        if x is not None:
            sentences.append(
                f"{model}, {row['weights']}: the most similar prompt names an object of the image "
                f"in {percent_interval(x)} of {row['n']} images; chance "
                f"{_value(row, 'control_value')}."
            )
    return sentences


def _of_labels(rows: Sequence[Record], model: str, row: Record, x: Interval) -> str:
    text = (
        f"{model}, {_place(row)}, {_BACKGROUND[str(row['background'])]}: mean IoU "
        f"{number_interval(x)}; swapped {_value(row, 'control_value')}"
    )
    fresh = _best(
        pick(
            rows,
            kind="top-down",
            weights="untrained",
            background=row["background"],
            candidates="all",
            method=row["method"],
        )
    )
    text += f"; random weights at most {number_interval(fresh[1])}" if fresh else ""
    text += f"; one label for everything {_value(row, 'constant')}"
    return f"{text}; bound of the grid {_value(row, 'bound')}."


def _of_groups(rows: Sequence[Record], model: str, row: Record, x: Interval) -> str:
    text = (
        f"{model}, groups by {row['method']} of {row['layer']}: overlap with instances "
        f"{number_interval(x)} by best match, {_value(row, 'matched')} one to one; "
        f"{row['control']} {_value(row, 'control_value')}"
    )
    fresh = _best(pick(rows, kind="bottom-up", weights="untrained"))
    text += f"; random weights at most {number_interval(fresh[1])}" if fresh else ""
    text += f"; bound of the grid {_value(row, 'bound')}."
    test = paired_test(row, scale=1)
    return text if test is None else f"{text} Against {row['control']}: {sentence_of(test)}"


def grouping_finding(rows: Sequence[Record]) -> Finding | None:
    """Tests against the strongest null; top-down if there is text, else bottom-up."""
    for kind, claim, sentence in (
        ("top-down", "locations tell which class they show", _of_labels),
        ("bottom-up", "features group the pixels of objects", _of_groups),
    ):
        asked = [row for row in _asked(rows, kind) if row["candidates"] in (None, "all")]
        best = _best(asked)
        if best is None:
            continue
        row, x = best
        control, test = interval(row, "control_value"), paired_test(row, scale=1)
        control_name = "swapped prompts" if kind == "top-down" else str(row["control"])
        model = str(row["model"])
        tests: list[PairedTest] = [] if test is None else [chosen_of(test, len(asked))]
        return make_finding(
            claim,
            sentence(pick(rows, model=model), model, row, x),
            tests,
            figure=f"{x.value:.2f}",
            versus=f"against {control.value:.2f} with {control_name}" if control else "",
        )
    return None


def _place(row: Record) -> str:
    return f"{row['method']}, {row['layer']}" if row["layer"] else str(row["method"])


def _value(row: Record, name: str) -> str:
    x = interval(row, name)
    if x is None:
        return "n/a"
    plain = number(row, f"{name}_low") is None
    return f"{x.value:.2f}" if plain else number_interval(x)


def _tables(run: StudyRun, model: str, folded: bool) -> list[Table]:
    rows = pick(run.summary, model=model)
    tables = []
    for kind, caption in (
        ("top-down", "labels of locations, mean IoU"),
        ("bottom-up", "groups of locations, overlap with instances"),
    ):
        of_kind = pick(rows, kind=kind)
        if of_kind:
            tables.append(
                table(
                    file_name("group", run.place, model, kind),
                    f"{model}: {caption}, with 95% intervals over images.",
                    of_kind,
                    _COLUMNS[kind],
                    folded=folded or len(of_kind) > 40,
                )
            )
    return tables


def _estimate(of: str, label: str) -> Spec:
    return cell(label, lambda row: _value(row, of))


_COLUMNS = {
    "top-down": (
        cell("method", _place, numeric=False),
        cell(
            "weights",
            lambda row: "the truth" if row["method"] == "majority" else str(row["weights"]),
            numeric=False,
        ),
        text("background"),
        cell(
            "compete",
            lambda row: "all classes" if row["candidates"] == "all" else "those in the image",
            numeric=False,
        ),
        _estimate("value", "mean IoU"),
        _estimate("control_value", "swapped"),
        _estimate("difference", "difference"),
        _estimate("constant", "constant"),
        _estimate("bound", "bound"),
        count("n", "images"),
    ),
    "bottom-up": (
        cell("groups", _place, numeric=False),
        cell(
            "weights",
            lambda row: "null" if row["control"] is None else str(row["weights"]),
            numeric=False,
        ),
        _estimate("value", "best match"),
        _estimate("matched", "one to one"),
        _estimate("difference", "minus strongest null"),
        _estimate("bound", "bound"),
        cell("groups per image", lambda row: f"{number(row, 'n_groups') or 0:.1f}"),
        count("n", "instances"),
        count("n_undefined", "undefined"),
    ),
}
