"""Information flow: the attention edges through which the words get what the image shows."""

from __future__ import annotations

from collections.abc import Sequence

from ...report.blocks import Interval, Record, Section, Table, file_name, number_interval
from ...report.findings import Finding, PairedTest, make_finding, paired_test, weakest
from ...report.rows import first, interval, known_first, pick, values
from ...report.tables import cell, count, numbers, table, text, whole_table
from ..runs import StudyRun
from .figure import edges_figure, layers_figure, windows_figure
from .names import DIRECT, READING_NAMES, READINGS, VIA_QUERY, WHOLE, edge_names
from .options import TASKS
from .summary import SCORES

NOUN = "information flow"
TABLE_NOTE = (
    "Values after the edges are blocked; f1, precision and recall: objects still named, "
    "against the description without an edit; with 95% intervals."
)

_EXAMPLE_TEXT = 160


def section(runs: Sequence[StudyRun]) -> Section:
    """Makes the section: the main model in full, further models as tables."""
    main = runs[0]
    rows = pick(main.summary, weights="trained")
    readings = known_first(values(rows, "reading"), READINGS)
    figures = [edges_figure(pick(rows, task=t), t, readings) for t in _tasks(rows)]
    described = pick(rows, task="description")
    for reading in readings:
        if figure := windows_figure(pick(described, reading=reading), reading):
            figures.append(figure)
        if figure := layers_figure(pick(described, reading=reading), reading):
            figures.append(figure)
    sentences = [_paths(rows, reading, main.label) for reading in readings]
    sentences += [_enough(main, readings), _questions(rows, readings)]
    sentences.append(_untrained(main))
    return Section(
        key="flow",
        title="Along which edges the image reaches the words: knockouts that hold while writing",
        question=(
            "Attention between the image, the question and the words of the answer is blocked "
            "while the prompt is read and while the model writes. What does it still name?"
        ),
        sentences=tuple(sentence for sentence in sentences if sentence),
        figures=tuple(figures),
        tables=(
            *(
                _table(run, task, folded=run is not main)
                for run in runs
                for task in _tasks(run.summary)
            ),
            *_examples(main),
            *(
                whole_table(
                    file_name("flow", run.label, "baseline"),
                    f"{run.label}: the clean run, and that of a copy with random weights.",
                    run.extra("baseline"),
                )
                for run in runs
            ),
        ),
        notes=(
            "F1: objects named under the block against those named in the clean run, as whole "
            "words with synonyms; 1.00 means that nothing is lost. Where neither names any it is "
            "undefined and left out.",
            "The prompt's last position predicts the first word. It counts either as part of the "
            "question or as the first generated position; both readings are shown. Under the "
            "first, blocking image → generated cannot change an answer of one word.",
            "Tokens before the image cannot contain anything of it and belong to neither group. "
            "Random edges: as many others, drawn from the whole prompt.",
            "After Kaduri et al. 2024 (arXiv 2411.17491) and Zhang et al. 2024 (arXiv 2411.18620).",
        ),
        finding=flow_finding(main, readings),
    )


def _tasks(rows: Sequence[Record]) -> list[str]:
    return known_first(values(rows, "task"), TASKS)


def _score(
    rows: Sequence[Record], task: str, reading: str, edges: str, is_control: bool = False
) -> Interval | None:
    where = {"reading": reading, "edges": edges, "is_control": is_control, "layers": "all"}
    return interval(first(rows, task=task, **where), SCORES[task])


def _paths(rows: Sequence[Record], reading: str, model: str) -> str:
    parts = [
        f"{edge_names(edges)} {number_interval(x)}"
        for edges in (DIRECT, VIA_QUERY, WHOLE)
        if (x := _score(rows, "description", reading, edges))
    ]
    if not parts:
        return ""
    text = (
        f"With the last position {READING_NAMES[reading]}, F1 of {model}'s descriptions when edges "
        f"are blocked in all layers: {', '.join(parts)}"
    )
    controls = [
        f"{x.value:.2f}"
        for edges in (DIRECT, VIA_QUERY, WHOLE)
        if (x := _score(rows, "description", reading, edges, is_control=True))
    ]
    return text + (f"; as many random edges: {', '.join(controls)}." if controls else ".")


def _enough(run: StudyRun, readings: Sequence[str]) -> str:
    """Returns a sentence on the window that keeps most when only it is left open."""
    kept = {"weights": "trained", "edges": WHOLE, "layers": "keep", "reading": readings[-1]}
    row = first(run.extra("peaks"), **kept)
    x = interval(row, "value", "n_samples")
    if row is None or x is None:
        return ""
    return (
        "If all edges from the image to text are blocked except in one window of layers, "
        f"{row['place']} keep most: F1 {number_interval(x)} on images that did not choose the "
        "window."
    )


def _questions(rows: Sequence[Record], readings: Sequence[str]) -> str:
    parts = [
        f"{edge_names(edges)} {number_interval(x)}"
        for edges in (DIRECT, VIA_QUERY)
        if (x := _score(rows, "question", readings[-1], edges))
    ]
    if not parts:
        return ""
    return (
        "Change of the correct answer's probability at the last position "
        f"({READING_NAMES[readings[-1]]}): {', '.join(parts)}."
    )


def _untrained(run: StudyRun) -> str:
    rows = run.extra("baseline")
    named = {
        w: interval(first(rows, task="description", weights=w), "truth_f1")
        for w in ("trained", "untrained")
    }
    trained, untrained = named["trained"], named["untrained"]
    if trained is None or untrained is None:
        return ""
    return (
        f"In the clean run, {run.label} names the objects of the image with F1 "
        f"{number_interval(trained)}; a copy with random weights {number_interval(untrained)}."
    )


def flow_finding(run: StudyRun, readings: Sequence[str]) -> Finding | None:
    """Which of the image's two paths to the words matters more, in pairs of the same prompts."""
    rows = pick(run.summary, weights="trained")
    reading = "generated" if "generated" in readings else readings[0]
    direct = _score(rows, "description", reading, DIRECT)
    through = _score(rows, "description", reading, VIA_QUERY)
    if direct is None or through is None:
        return None
    same = {"task": "description", "reading": reading, "layers": "all"}
    paths = first(run.extra("paths"), weights="trained", **same)
    between = paired_test(paths, against="between the two paths", scale=1)
    claim, edges = "one path from the image to the words matters more than the other", DIRECT
    tests: list[PairedTest] = [] if between is None else [between]
    if between is not None and between.sign == "higher":
        claim = "the words read the image directly"
    elif between is not None and between.sign == "lower":
        claim, edges = "the question's tokens carry the image to the words", VIA_QUERY
        turned = paired_test(paths, against="between the two paths", scale=1, sign=-1)
        tests = [] if turned is None else [turned]
    decided = between is not None and between.sign in ("higher", "lower")
    effect = paired_test(
        first(rows, **same, edges=edges, is_control=False),
        against="against random edges",
        scale=1,
        sign=-1,
    )
    # The larger effect also has to exceed that of as many random edges.
    if decided and effect is not None:
        weaker = weakest([*tests, effect])
        tests = [] if weaker is None else [weaker]
    sentence = (
        f"Blocking image → generated leaves {number_interval(direct)} of the F1 of the objects "
        f"that {run.label} names, blocking image → query {number_interval(through)} (last "
        f"position {READING_NAMES[reading]})"
    )
    if control := _score(rows, "description", reading, DIRECT, is_control=True):
        sentence += f"; as many random edges leave {number_interval(control)}"
    return make_finding(
        claim,
        sentence,
        tests,
        figure=f"{direct.value:.2f}",
        versus=f"of F1 without image → generated, against {through.value:.2f} without image → "
        "query",
    )


def _table(run: StudyRun, task: str, folded: bool) -> Table:
    rows = pick(run.summary, task=task)
    judged = any(row.get("judge_f1") is not None for row in rows)
    measures = {
        "description": (
            numbers("f1", "F1"),
            numbers("precision"),
            numbers("recall"),
            numbers("truth_f1", "F1, truth"),
            *([numbers("judge_f1", "F1, judge")] if judged else []),
        ),
        "question": (
            numbers("probability_change", "probability"),
            numbers("rank_change", "rank"),
            numbers("correct", "correct"),
        ),
    }[task]
    what = (
        "objects that are still named" if task == "description" else "change of the correct answer"
    )
    return table(
        file_name("flow", run.label, task),
        f"{run.label}: {what}, edges blocked in all layers, with 95% intervals. Windows of layers "
        "are in the CSV file.",
        pick(rows, layers="all"),
        (
            cell("blocked", _edges, numeric=False),
            text("reading", "last position", READING_NAMES),
            text("weights"),
            *measures,
            numbers("difference", "minus random edges"),
            count("n"),
        ),
        rows,
        folded,
    )


def _edges(row: Record) -> str:
    return edge_names(str(row["edges"]), bool(row["is_control"]))


def _examples(run: StudyRun) -> list[Table]:
    """Returns what is written under each block, for the first image."""
    for facts in run.results.examples():
        after = facts.get("after")
        if not isinstance(after, list):
            continue
        rows: list[Record] = [
            {"blocked": "nothing", "last position": "", "text": _cut(facts["before"])}
        ]
        for written in after:
            if isinstance(written, dict):
                rows.append(
                    {
                        "blocked": edge_names(str(written["edges"]), bool(written["is_control"])),
                        "last position": READING_NAMES[str(written["reading"])],
                        "text": _cut(written["text"]),
                    }
                )
        caption = f"What {run.label} writes about image {facts['sample']}: “{facts['question']}”"
        return [whole_table(file_name("flow", run.label, "example"), caption, rows)]
    return []


def _cut(text: object) -> str:
    whole = str(text)
    if len(whole) > _EXAMPLE_TEXT:
        return whole[:_EXAMPLE_TEXT] + "…"
    return whole or "(nothing)"
