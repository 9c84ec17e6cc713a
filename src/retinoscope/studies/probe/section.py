"""What is where: names and places that light heads read from frozen layers."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ...report.blocks import (
    Column,
    Interval,
    Record,
    Section,
    Table,
    file_name,
    listing,
    percent,
    percent_interval,
    signed,
)
from ...report.findings import Finding, PairedTest, make_finding, paired_test
from ...report.rows import interval, number, pick
from .. import PROBE_MEASURES, PROBE_TASKS
from ..runs import StudyRun
from .figure import LOCALISATION, SEMANTICS, axes_figure, groups_of, layers_figure
from .picture import dense_figures

NOUN = "probes of what is where"
VIEWS = ("maps",)
TABLE_NOTE = (
    "value: on the test images, mean over probe seeds, with its 95% interval over images; "
    "selectivity: minus the same with control labels; bound: the best that one answer per "
    "location can reach."
)

_AXES = {
    "semantics": "what",
    "localisation": "where",
    "both": "both",
    "position": "control of position",
}
_SHOWN = 40
"""Rows of left-out items on the page; the CSV file has all."""


def section(runs: Sequence[StudyRun]) -> Section:
    """The first run in full, further ones as tables."""
    main = runs[0]
    measures = [(task, one.measures[0], task) for task, one in PROBE_TASKS.items()]
    figures = (
        axes_figure(main),
        layers_figure(main, measures),
        *dense_figures(main, ("semantic", "instances"))[:4],
    )
    return Section(
        key="probe",
        title="What is where",
        question=(
            "What do frozen layers hold about what is shown, and what about where it is, as read "
            "by light heads of one size?"
        ),
        sentences=tuple(_sentences(main)),
        figures=tuple(figure for figure in figures if figure is not None),
        tables=tuple(
            table
            for run in runs
            for table in (_layers_table(run), _pairs_table(run), _left_out(run), _untouched(run))
            if table is not None
        ),
        notes=_notes(main),
        finding=probe_finding(main),
    )


def _best(run: StudyRun, task: tuple[str, str]) -> Record | None:
    """The layer of the first encoder that the validation images select."""
    rows = pick(run.summary, task=task[0], measure=task[1], kind="encoder")
    of_first = [row for row in rows if row["encoder"] == rows[0]["encoder"]]
    return max(of_first, key=lambda row: number(row, "val") or 0.0, default=None)


def _sentences(run: StudyRun) -> list[str]:
    sentences = _verdicts(run)
    for task, measure, what in (
        (*SEMANTICS, "the name of an object, given its mask"),
        ("present", "map", "the names in an image, from the mean of its locations"),
        (*LOCALISATION, "object or background at each location"),
        ("instances", "pq", "which locations belong to one object"),
        ("relation", "class_accuracy", "which of two objects is left or above"),
    ):
        row = _best(run, (task, measure))
        x = interval(row, "value")
        if row is None or x is None:
            continue
        text = f"{row['encoder']}, {what}: {percent_interval(x)} ({_SHORT[measure]}) from "
        text += f"{row['layer']}"
        parts = [
            f"{label} {percent(value)}"
            for name, label in (
                ("constant", "constant answer"),
                ("shuffled", "shuffled labels"),
                ("control", "control labels"),
                ("bound", "best that one answer per location can reach"),
            )
            if (value := number(row, name)) is not None
        ]
        untrained = _untrained(run, row)
        if untrained is not None:
            parts.append(f"random weights {percent_interval(untrained)}")
        sentences.append(text + (f"; {', '.join(parts)}." if parts else "."))
    return sentences


_SHORT = {
    "class_accuracy": "mean over classes",
    "map": "mean average precision",
    "iou": "IoU",
    "pq": "panoptic quality",
    "miou": "mean IoU",
}


def _untrained(run: StudyRun, row: Record) -> Interval | None:
    """The same task on random weights, at the best of their layers."""
    rows = pick(
        run.summary,
        task=row["task"],
        measure=row["measure"],
        kind="untrained",
        of=row["encoder"],
    )
    values = [x for row in rows if (x := interval(row, "value"))]
    return max(values, key=lambda x: x.value, default=None)


def _own_pairs(run: StudyRun, task: tuple[str, str]) -> list[Record]:
    """Pairs of encoders, without baselines."""
    encoders = {str(row["encoder"]) for row in pick(groups_of(run), kind="encoder")}
    rows = pick(run.extra("comparison"), task=task[0], measure=task[1])
    return [row for row in rows if {row["a"], row["b"]} <= encoders]


def _apart(rows: Sequence[Record]) -> list[Record]:
    return [row for row in rows if row["verdict"] in ("higher", "lower")]


def _from_the_best(rows: Sequence[Record]) -> list[tuple[str, float]]:
    """Encoders and their values, highest first."""
    values = {str(row[side]): number(row, f"{side}_value") for row in rows for side in ("a", "b")}
    known = [(name, value) for name, value in values.items() if value is not None]
    return sorted(known, key=lambda pair: -pair[1])


def _verdicts(run: StudyRun) -> list[str]:
    """For compared encoders: how many pairs differ, and their order."""
    sentences: list[str] = []
    for task, axis in ((SEMANTICS, "names"), (LOCALISATION, "places")):
        rows = _own_pairs(run, task)
        if rows:
            best = [f"{name} {percent(value)}" for name, value in _from_the_best(rows)]
            sentences.append(
                f"Of {len(rows)} pairs of encoders, {len(_apart(rows))} differ in {axis} "
                f"({task[0]}); from the highest: {listing(best)}."
            )
    return sentences


def probe_finding(run: StudyRun) -> Finding | None:
    """For several encoders, whether they differ; for one, whether training taught what is where."""
    if (compared := _compared(run)) is not None:
        return compared
    name, place = _best(run, SEMANTICS), _best(run, LOCALISATION)
    x, y = interval(name, "value"), interval(place, "value")
    if name is None or x is None or place is None or y is None:
        return None
    untrained = _untrained(run, name)
    bound = number(place, "bound")
    sentence = (
        f"{name['encoder']}: names of objects {percent_interval(x)} from {name['layer']}, object "
        f"or background {percent_interval(y)} IoU from {place['layer']}"
    )
    sentence += f" of {percent(bound)} that the grid allows" if bound is not None else ""
    if untrained is not None:
        sentence += f"; names from random weights {percent_interval(untrained)}"
    tests = [
        test
        for task, about in ((SEMANTICS, "for names"), (LOCALISATION, "for places"))
        for row in pick(run.extra("comparison"), task=task[0], measure=task[1], a=name["encoder"])
        if _is_untrained(run, row["b"])
        and (test := paired_test(row, images="n_images", about=about))
    ]
    return make_finding(
        "trained layers hold what is where",
        sentence,
        tests,
        figure=percent(x.value),
        versus=f"of names correct, foreground IoU {percent(y.value)}",
    )


def _is_untrained(run: StudyRun, encoder: object) -> bool:
    return any(row["kind"] == "untrained" for row in pick(run.summary, encoder=str(encoder)))


def _compared(run: StudyRun) -> Finding | None:
    """For several encoders, whether the highest and the lowest differ on each axis."""
    names, places = _own_pairs(run, SEMANTICS), _own_pairs(run, LOCALISATION)
    best, where = _from_the_best(names), _from_the_best(places)
    if not best or not where:
        return None
    tests = [
        test
        for rows, order, about in ((names, best, "by names"), (places, where, "by places"))
        if (test := _widest(rows, order, about))
    ]
    sentence = (
        f"Highest in names: {best[0][0]}, {percent(best[0][1])}; lowest: {best[-1][0]}, "
        f"{percent(best[-1][1])}. Highest in places: {where[0][0]}, {percent(where[0][1])} IoU; "
        f"lowest: {where[-1][0]}, {percent(where[-1][1])}. Pairs whose 95% interval excludes 0 "
        f"(uncorrected): {len(_apart(names))} of {len(names)} by names, {len(_apart(places))} of "
        f"{len(places)} by places"
    )
    return make_finding(
        "the encoders differ in what they hold",
        sentence,
        tests,
        figure=f"{len(_apart(names))} of {len(names)}",
        versus=f"pairs told apart by names, {len(_apart(places))} of {len(places)} by places",
    )


def _widest(
    rows: Sequence[Record], order: Sequence[tuple[str, float]], about: str
) -> PairedTest | None:
    """The highest encoder against the lowest."""
    ends = (order[0][0], order[-1][0])
    for row in rows:
        if {row["a"], row["b"]} == set(ends):
            sign = 1 if row["a"] == ends[0] else -1
            return paired_test(row, images="n_images", about=about, sign=sign)
    return None


def _layers_table(run: StudyRun) -> Table:
    columns = (
        Column("task", numeric=False),
        Column("axis", numeric=False),
        Column("measure", numeric=False),
        Column("encoder", numeric=False),
        Column("layer", numeric=False),
        Column("value"),
        Column("sd over\nprobe seeds"),
        Column("constant"),
        Column("bound"),
        Column("selectivity", hint="value minus that with control labels"),
        Column("shuffled\nlabels"),
        Column("head's\nparameters"),
        Column("images"),
    )
    rows = []
    for row in run.summary:
        selectivity, shuffled = interval(row, "selectivity"), interval(row, "shuffled")
        value = interval(row, "value")
        rows.append(
            (
                str(row["task"]),
                _AXES[str(row["axis"])],
                str(row["measure"]).replace("_", " "),
                str(row["encoder"]),
                str(row["layer"]),
                "" if value is None else percent_interval(value),
                _number(row, "seed_sd", 3),
                _share(row, "constant"),
                _share(row, "bound"),
                "" if selectivity is None else _points(selectivity),
                "" if shuffled is None else percent_interval(shuffled),
                str(row["n_parameters"]),
                str(row["n_images"]),
            )
        )
    return Table(
        file_name("probe", run.label, "layers"),
        f"{run.label}: every task, encoder and layer, with 95% intervals.",
        columns,
        tuple(rows),
        tuple(run.summary),
        folded=True,
    )


def _pairs_table(run: StudyRun) -> Table | None:
    comparisons = run.extra("comparison")
    if not comparisons:
        return None
    main = {(task, one.measures[0]) for task, one in PROBE_TASKS.items()}
    rows = []
    for row in comparisons:
        difference = interval(row, "difference")
        if (row["task"], row["measure"]) in main and difference is not None:
            rows.append(
                (
                    str(row["task"]),
                    f"{row['a']} ({row['a_layer']})",
                    f"{row['b']} ({row['b_layer']})",
                    _share(row, "a_value"),
                    _share(row, "b_value"),
                    _points(difference),
                    str(row["verdict"]),
                    f"{row['a_runs']}, {row['b_runs']}",
                    str(row["n_images"]),
                )
            )
    return Table(
        file_name("probe", run.label, "pairs"),
        f"{run.label}: pairs on the same test images, each at the layer that the validation images "
        "choose; difference in points with its 95% interval.",
        (
            Column("task", numeric=False),
            Column("a", numeric=False),
            Column("b", numeric=False),
            Column("value of a"),
            Column("value of b"),
            Column("difference"),
            Column("a is", numeric=False),
            Column("training runs"),
            Column("images"),
        ),
        tuple(rows),
        tuple(comparisons),
        folded=len(rows) > 24,
    )


def _facts(run: StudyRun) -> dict:
    file = run.path / "probe.json"
    return json.loads(file.read_text("utf-8")) if file.exists() else {}


def _left_out(run: StudyRun) -> Table | None:
    left_out = _facts(run).get("left_out") or []
    if not left_out:
        return None
    keys = ("task", "what", "why", "n")
    return Table(
        file_name("probe", run.label, "left-out"),
        f"{run.label}: what was left out of all averages, and why.",
        (*(Column(name, numeric=False) for name in keys[:3]), Column("cases")),
        tuple(tuple(str(entry[key]) for key in keys) for entry in left_out[:_SHOWN]),
        tuple(left_out),
        folded=True,
    )


def _untouched(run: StudyRun) -> Table | None:
    encoders = [
        encoder for encoder in _facts(run).get("encoders") or [] if encoder["kind"] != "pixels"
    ]
    if not encoders:
        return None
    rows = [
        {
            "encoder": encoder["name"],
            "parameters": encoder["n_parameters"],
            "before": encoder["checksum"]["before"],
            "after": encoder["checksum"]["after"],
            "same": encoder["checksum"]["before"] == encoder["checksum"]["after"],
        }
        for encoder in encoders
    ]
    return Table(
        file_name("probe", run.label, "checksums"),
        f"{run.label}: checksums of all parameters before and after.",
        (
            Column("encoder", numeric=False),
            Column("parameters"),
            Column("before", numeric=False),
            Column("after", numeric=False),
        ),
        tuple(
            (str(r["encoder"]), str(r["parameters"]), r["before"][:16], r["after"][:16])
            for r in rows
        ),
        tuple(rows),
        folded=True,
    )


def _notes(run: StudyRun) -> tuple[str, ...]:
    facts = _facts(run)
    images = facts.get("images") or {}
    used = {str(row["measure"]) for row in run.summary}
    return (
        f"Images: {images.get('train')} train, {images.get('val')} choose the regularisation, "
        f"{images.get('test')} are scored once ({images.get('dense_test')} of them at every "
        f"location). Features are brought to {facts.get('width')} dimensions by a fixed random "
        "matrix where they are wider, so that all heads of a task have one size, and are "
        "standardised with the training images.",
        "Measures: "
        + "; ".join(f"{name}: {what}" for name, what in PROBE_MEASURES.items() if name in used)
        + ". Classes without positives in a split are left out and listed, never averaged in.",
        "Control labels are random, one for each kind of case (Hewitt and Liang 2019, arXiv "
        "1909.03368), so a head can only memorise them. Where a name has one appearance, they are "
        "as easy as the name itself. Random weights, raw pixels and these labels are run with the "
        "first probe seed only.",
        "After Li et al. 2022 (arXiv 2212.00281). None of that paper's numbers could be found.",
    )


def _number(row: Record, name: str, digits: int) -> str:
    value = number(row, name)
    return "" if value is None else f"{value:.{digits}f}"


def _share(row: Record, name: str) -> str:
    value = number(row, name)
    return "" if value is None else percent(value)


def _points(x: Interval) -> str:
    return signed(x, 1, 100)
