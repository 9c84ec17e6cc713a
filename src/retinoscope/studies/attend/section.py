"""Which heat map finds the object: leaderboard, layers, controls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ...report.blocks import (
    Interval,
    Record,
    Section,
    Table,
    file_name,
    listing,
    number_interval,
    percent_interval,
    signed,
)
from ...report.findings import Finding, chosen_of, make_finding, paired_test
from ...report.rows import first, interval, known_first, number, pick, values
from ...report.tables import Spec, cell, count, plain_number, table, text
from ..runs import StudyRun
from .figure import MEASURE_NAMES, SHORT, layers_figure, leaders_figure
from .options import BASELINES

NOUN = "saliency maps"
TABLE_NOTE = "How well each map finds its object, by metric, with 95% intervals over images."

TASK_NAMES = {
    "generative": "words of the model's description",
    "polling": "yes rather than no",
    "question": "answers to questions",
}
LEADERBOARD = "leaderboard"
_SAME = 0.5
"""Minimum of the interval of Spearman's correlation with the untrained copy's map."""


def section(runs: Sequence[StudyRun]) -> Section:
    """Makes the section: the main model in full, further models as tables."""
    main = runs[0]
    leaders = main.extra(LEADERBOARD)
    tasks = known_first(values(leaders, "task"), tuple(TASK_NAMES))
    figures = []
    for task in tasks:
        drawn = leaders_figure(pick(leaders, task=task), task)
        by_layer = layers_figure(main.summary, task, "ap")
        figures += [figure for figure in (drawn, by_layer) if figure is not None]
    return Section(
        key="attend",
        title="Which heat map finds the object",
        question=(
            "A map says which visual tokens an answer depends on. Of all methods and layers, "
            "which one's map lies on the object that the answer is about?"
        ),
        sentences=tuple(sentence for task in tasks for sentence in _sentences(main, leaders, task)),
        figures=tuple(figures),
        tables=tuple(
            table
            for run in runs
            for task in known_first(values(run.extra(LEADERBOARD), "task"), tuple(TASK_NAMES))
            for table in _tables(run, task, run is not main)
        ),
        notes=(
            "Pointing: the map's largest value lies on the object (among ties, the share that "
            "does). Mass: the share of the positive part that lies on it. Average precision: of "
            "the object's pixels, ordered by the map. Chance is the object's share of the pixels "
            "for all three. Best IoU takes the threshold that suits the mask best: an upper bound.",
            "For methods that take a layer, each image counts at the layer that was best on the "
            "other half of the images. A constant map points nowhere: its scores are undefined, "
            "left out and counted.",
            "Finding the object is not the same as being faithful: an answer may well depend on "
            "what surrounds it. Insertion and deletion test the model itself; their control is "
            "the order of the map “random”. Attention, rollout, gradient times input and "
            "SmoothGrad fail to tell planted models apart that every map should distinguish "
            "(retinoscope known-answers METHOD).",
        ),
        finding=attend_finding(main, leaders, tasks[0]) if tasks else None,
    )


def _value(x: Interval, measure: str) -> str:
    return percent_interval(x) if measure in ("pointing", "mass") else number_interval(x)


def _best(leaders: Sequence[Record], task: str, measure: str) -> Record | None:
    rows = [r for r in pick(leaders, task=task, measure=measure) if r["method"] not in BASELINES]
    return first(rows)


def _sentences(run: StudyRun, leaders: Sequence[Record], task: str) -> list[str]:
    sentences = []
    for measure in ("pointing", "ap", "mass"):
        best = _best(leaders, task, measure)
        if best is None or (x := interval(best, "value")) is None:
            continue
        together = _indistinguishable(leaders, task, measure)
        lead = (
            "best" if len(together) == 1 else f"{len(together)} methods not told apart, among them"
        )
        text = (
            f"{run.label}, {TASK_NAMES.get(task, task)}, {SHORT[measure]}: {lead} {_named(best)}, "
        )
        text += _value(x, measure)
        if control := interval(best, "control"):
            text += f" (another image's mask {_value(control, measure)})"
        parts = [_behind(row, measure) for row in _followers(leaders, task, measure)[:3]]
        text += f"; then {listing(parts)}" if parts else ""
        sentences.append(text + ".")
    if faithful := _faithful(run.summary, task):
        sentences.append(f"{run.label}: {faithful}.")
    if same := _unchanged(run.summary, task):
        sentences.append(f"{run.label}: {same}.")
    if undefined := _undefined(leaders, run.summary, task):
        sentences.append(f"{run.label}: {undefined}.")
    return sentences


def _followers(leaders: Sequence[Record], task: str, measure: str) -> list[Record]:
    rows = [r for r in pick(leaders, task=task, measure=measure) if r["method"] not in BASELINES]
    return rows[1:]


def _named(row: Record) -> str:
    return f"{row['method']} (layer {row['layers']})" if row["layers"] else str(row["method"])


def _behind(row: Record, measure: str) -> str:
    x, test = interval(row, "value"), paired_test(row, "behind", scale=1, sign=-1)
    text = f"{_named(row)} {'' if x is None else _value(x, measure)}"
    return text if test is None else f"{text}, behind by {test}"


def _indistinguishable(leaders: Sequence[Record], task: str, measure: str) -> list[Record]:
    """Returns the best method and those that its paired test does not put behind it.

    The best one was chosen by its estimate, so p values are corrected for all pairs of methods.
    """
    best, followers = _best(leaders, task, measure), _followers(leaders, task, measure)
    if best is None:
        return []
    n = len(followers) + 1
    together = [best]
    for row in followers:
        test = paired_test(row, "behind", scale=1, sign=-1)
        if test is None or chosen_of(test, n * (n - 1) // 2).sign != "higher":
            together.append(row)
    return together


def _faithful(summary: Sequence[Record], task: str) -> str:
    """Returns the best insertion and deletion."""
    rows = pick(summary, task=task, weights="trained")
    parts = []
    for measure, sign in (("insertion", 1), ("deletion", -1)):
        scored = [
            (sign * x.value, row, x)
            for row in rows
            if row["method"] not in BASELINES and (x := interval(row, measure, "n_controls"))
        ]
        if not scored:
            return ""
        _, row, x = max(scored, key=lambda entry: entry[0])
        layer = "" if row["layer"] is None else f" (layer {row['layer']})"
        text = f"{'highest' if sign > 0 else 'lowest'} {measure} {row['method']}{layer} "
        text += number_interval(x)
        chance = interval(first(rows, method="random"), measure, "n_controls")
        parts.append(text + ("" if chance is None else f", random order {number_interval(chance)}"))
    n = max(int(number(row, "n_controls") or 0) for row in rows)
    return f"insertion and deletion over {n} targets: {'; '.join(parts)}"


def _unchanged(summary: Sequence[Record], task: str) -> str:
    """Returns the methods whose maps do not need the trained weights."""
    rows = pick(summary, task=task, weights="trained")
    unchanged = [
        (row, x) for row in rows if (x := interval(row, "spearman", "n_controls")) and x.low > _SAME
    ]
    if not unchanged:
        return ""
    methods = list(dict.fromkeys(str(row["method"]) for row, _ in unchanged))
    parts = []
    for name in methods:
        values_of = [x.value for row, x in unchanged if row["method"] == name]
        parts.append(f"{name} ({min(values_of):.2f} to {max(values_of):.2f} by layer)")
    return (
        "much the same map with random weights, so that it shows the architecture (Spearman's "
        f"correlation): {listing(parts)}"
    )


def _undefined(leaders: Sequence[Record], summary: Sequence[Record], task: str) -> str:
    board = pick(leaders, task=task, measure="ap")
    parts = [f"{r['n_undefined']} of {r['method']}" for r in board if number(r, "n_undefined")]
    # A method whose maps are all constant is missing from the leaderboard.
    asked = values(pick(summary, task=task, weights="trained"), "method")
    placed = {*values(board, "method"), *BASELINES}
    parts += [f"all of {name}" for name in asked if name not in placed]
    if not parts:
        return ""
    return f"constant maps, whose scores are undefined: {listing(parts)}"


def attend_finding(run: StudyRun, leaders: Sequence[Record], task: str) -> Finding | None:
    """Whether a map finds the object, and whether one finds it better than the others."""
    best = _best(leaders, task, "pointing")
    x, control = interval(best, "value"), interval(best, "control")
    if best is None or x is None:
        return None
    n = len(_followers(leaders, task, "pointing")) + 1
    above = paired_test(best, "above", against="against another image's mask")
    together = _indistinguishable(leaders, task, "pointing")
    names = [str(row["method"]) for row in together]
    text = (
        f"{run.label}, {TASK_NAMES.get(task, task)}: the largest value of {_named(best)} lies on "
    )
    text += f"the object for {percent_interval(x)} of the targets"
    text += f", on another image's mask for {percent_interval(control)}" if control else ""
    if len(names) == 1 < n:
        claim = f"the map that finds the object best is that of {names[0]}"
        follows = (
            f"Each of the {n - 1} other methods is significantly behind it (all pairs corrected)."
        )
    else:
        # Only the best map is tested against the control, so claim no more than one.
        claim = "a map finds the object"
        follows = f"Not told apart: {listing(names)}." if n > 1 else ""
    return make_finding(
        claim,
        text,
        [] if above is None else [chosen_of(above, n)],
        figure=f"{x.value:.0%}",
        versus="of its largest values on the object"
        + ("" if control is None else f", against {control.value:.0%} on another image's"),
        follows=follows,
    )


def _tables(run: StudyRun, task: str, folded: bool) -> list[Table]:
    leaders = pick(run.extra(LEADERBOARD), task=task)
    tables = [_leaders_table(run, pick(leaders, measure=m), task, m, folded) for m in MEASURE_NAMES]
    return [table for table in tables if table.rows] + [_layers_table(run, task)]


def _leaders_table(
    run: StudyRun, rows: Sequence[Record], task: str, measure: str, folded: bool
) -> Table:
    def defined(of: str, label: str, write: Callable[[Interval], str]) -> Spec:
        return cell(label, lambda row: "" if (x := interval(row, of)) is None else write(x))

    value = partial(_value, measure=measure)
    return table(
        file_name("attend", run.label, task, measure),
        f"{run.label}, {TASK_NAMES.get(task, task)}: {MEASURE_NAMES[measure]}, best method first, "
        "with 95% intervals. Differences are over the same targets; the other mask is another "
        "image's.",
        rows,
        (
            text("method"),
            cell("layers", lambda row: str(row["layers"] or "")),
            defined("value", SHORT[measure], value),
            defined("control", "map “random”" if measure == "iou_best" else "other mask", value),
            defined("above", "minus that", signed),
            defined("behind", "minus the best", signed),
            count("n", "targets"),
            count("n_undefined", "undefined"),
        ),
        folded=folded or measure not in ("pointing", "ap"),
    )


def _layers_table(run: StudyRun, task: str) -> Table:
    return table(
        file_name("attend", run.label, task, "layers"),
        f"{run.label}, {TASK_NAMES.get(task, task)}: every method, layer and set of weights. “As "
        "untrained”: Spearman's correlation with the map of a copy with random weights, which "
        "should be near 0. Intervals are in the CSV file.",
        pick(run.summary, task=task),
        (
            text("method"),
            count("layer"),
            text("weights"),
            plain_number("pointing"),
            plain_number("mass"),
            plain_number("ap", "average precision"),
            plain_number("iou_best", "best IoU"),
            plain_number("iou_area", "IoU, same area"),
            plain_number("iou_otsu", "IoU, Otsu"),
            plain_number("insertion"),
            plain_number("deletion"),
            plain_number("spearman", "as untrained"),
            plain_number("completeness", "error of completeness"),
            count("n", "targets"),
        ),
        folded=True,
    )
