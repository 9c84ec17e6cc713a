"""Whether maps for text segments agree with where people looked while saying or reading them."""

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
from ...report.rows import interval, known_first, pick, values
from ...report.tables import Write, cell, count, numbers, shares, table, text
from ...stats.maps import METRICS
from ..runs import StudyRun
from .figure import agreement_figure, ranking_figure
from .names import FITS, GRANULARITIES, KINDS, ONE, READS, WHO, kind_of, method_name, ranked_by

NOUN = "agreement with where observers look"
TABLE_NOTE = (
    "Agreement of a map with where observers looked, by metric, with 95% intervals over images."
)

SHOWN = ("ncc", "auc_shuffled", "nss")
"""Metrics on the page; the CSV file has all."""
_BESIDE = (
    ("own", "its own"),
    ("other_text", "another text's map"),
    ("people", "{one} against the others"),
    ("mask", "true mask"),
    ("centre", "centre"),
    ("other_image", "another image's"),
)


def section(runs: Sequence[StudyRun]) -> Section:
    """Makes the section: the main model in full, further models as tables."""
    main = runs[0]
    rows = main.summary
    parts = _parts(rows)
    return Section(
        key="alignment",
        title=(
            "Does the model look where people look?"
            if "human" in values(rows, "provenance")
            else f"Does the model look where {WHO[parts[0][0]]} look?"
        ),
        question=(
            "For a word, a phrase or a sentence of a description: how well does a method's map "
            "agree with where the person was looking while saying or reading it?"
        ),
        sentences=(
            *(
                _sentence(pick(rows, provenance=p, granularity=g), p, g, main.label)
                for p, g in parts
            ),
            *_ranking_sentences(main),
        ),
        figures=(
            *(agreement_figure(pick(rows, provenance=p, granularity=g), p, g) for p, g in parts),
            *_ranking_figures(main),
        ),
        tables=tuple(
            table
            for run in runs
            for table in (
                *(_table(run, p, g, run is not main) for p, g in _parts(run.summary)),
                *_ranking_tables(run),
            )
        ),
        notes=_notes(rows),
        finding=alignment_finding(rows, parts, main.label),
    )


def _parts(rows: Sequence[Record]) -> list[tuple[str, str]]:
    parts = []
    for provenance in known_first(values(rows, "provenance"), tuple(WHO)):
        of_provenance = pick(rows, provenance=provenance)
        for granularity in known_first(values(of_provenance, "granularity"), tuple(GRANULARITIES)):
            parts.append((provenance, granularity))
    return parts


def _notes(rows: Sequence[Record]) -> tuple[str, ...]:
    notes = (
        f"{READS[kind_of(rows)]} NCC is Pearson's correlation over pixels with the density of "
        "fixations; the shuffled AUC ranks fixations against those of other images, so that a "
        "bias to the centre gains nothing.",
        "Another text's map is the same method's map of another segment of the same description: a "
        "map that does not depend on the text scores the same there. Every map is scored against "
        "each observer, and the scores are averaged; segments without a fixation are undefined and "
        "counted. Intervals are over images.",
        "After Harshit and Tasdizen 2024, VISTA (arXiv 2410.04609).",
    )
    if {"human"} != set(values(rows, "provenance")):
        return (
            "Not all observers here are people: simulated observers are drawn from the scenes' "
            "ground truth, and say nothing about where people look.",
            *notes,
        )
    return notes


def _best(rows: Sequence[Record], metric: str = "ncc") -> tuple[Record, Interval] | None:
    candidates = [
        (row, x)
        for row in pick(rows, weights="trained", metric=metric)
        if (x := interval(row, "own"))
    ]
    return max(candidates, key=lambda pair: pair[1].value) if candidates else None


def _sentence(rows: Sequence[Record], provenance: str, granularity: str, model: str) -> str:
    best = _best(rows)
    where = f"{model} ({KINDS[kind_of(rows)]}), {GRANULARITIES[granularity]}, {WHO[provenance]}"
    if best is None:
        undefined = sum(int(row["n_undefined"] or 0) for row in rows)
        return f"{where}: no map could be compared ({undefined} undefined)."
    row, x = best
    text = f"{where}: {method_name(row)} agrees best, NCC {number_interval(x)}"
    for name, label in _BESIDE[1:]:
        if other := interval(row, name):
            text += f"; {label.format(one=ONE[provenance])} {number_interval(other)}"
    text += f" ({row['n']} segments of {row['n_samples']} images)."
    if test := _over_other_text(rows, row):
        text += f" Over another text's map: {sentence_of(test)}"
    return text


def _over_other_text(rows: Sequence[Record], row: Record) -> PairedTest | None:
    """The gain's test, corrected for choosing the best of several maps."""
    test = paired_test(row, "gain", scale=1)
    asked = pick(rows, weights="trained", metric=row["metric"])
    return None if test is None else chosen_of(test, len(asked))


def alignment_finding(
    rows: Sequence[Record], parts: Sequence[tuple[str, str]], model: str
) -> Finding | None:
    """Whether a map depends on the text as the observers' gaze does."""
    candidates = [
        (p, g, *best)
        for p, g in parts
        if (best := _best(pick(rows, provenance=p, granularity=g))) and interval(best[0], "gain")
    ]
    if not candidates:
        return None
    provenance, granularity, row, x = max(candidates, key=lambda candidate: candidate[3].value)
    asked = pick(rows, provenance=provenance, granularity=granularity)
    other, test = interval(row, "other_text"), _over_other_text(asked, row)
    if test is not None:
        test = chosen_of(test, len(candidates))
    text = f"{model} ({KINDS[kind_of(rows)]}), {GRANULARITIES[granularity]}: "
    text += f"{method_name(row)} agrees best with {WHO[provenance]}, NCC {number_interval(x)}"
    if other is not None:
        text += f"; another text's map {number_interval(other)}"
    return make_finding(
        f"the model looks where {WHO[provenance]} look",
        text,
        [] if test is None else [test],
        figure=f"{x.value:.2f}",
        versus=f"NCC, against {other.value:.2f} for another text" if other else "NCC",
    )


def _table(run: StudyRun, provenance: str, granularity: str, folded: bool) -> Table:
    rows = pick(run.summary, provenance=provenance, granularity=granularity)

    def of_metric(metric: str) -> Write:
        def of(row: Record) -> str:
            same = {key: row[key] for key in ("weights", "method", "layer")}
            return next((_cell(other, "own") for other in pick(rows, metric=metric, **same)), "")

        return of

    return table(
        file_name("alignment", run.label, provenance, granularity),
        f"{run.label}, a {KINDS[kind_of(rows)]}: agreement of maps of "
        f"{GRANULARITIES[granularity]} with {WHO[provenance]} (NCC unless said otherwise), with "
        f"95% intervals. All metrics ({', '.join(one.label for one in METRICS.values())}) are in "
        "the CSV file.",
        pick(rows, metric="ncc"),
        (
            cell("method", method_name, numeric=False),
            text("weights"),
            *(numbers(name, label.format(one=ONE[provenance])) for name, label in _BESIDE),
            numbers("gain", "own minus other text"),
            *(cell(METRICS[metric].label, of_metric(metric)) for metric in SHOWN[1:]),
            count("n", "segments"),
            count("n_undefined", "undefined"),
        ),
        rows,
        folded,
    )


def _cell(row: Record, name: str) -> str:
    estimate = interval(row, name)
    return "" if estimate is None else number_interval(estimate)


# Which description the map prefers


def _ranking(run: StudyRun) -> list[Record]:
    return run.extra("ranking")


def _ranking_sentences(run: StudyRun) -> list[str]:
    sentences = []
    for provenance in known_first(values(_ranking(run), "provenance"), tuple(WHO)):
        rows = pick(_ranking(run), provenance=provenance, weights="trained")
        defined = [(row, x) for row in rows if (x := interval(row, "preferred"))]
        maps = [pair for pair in defined if pair[0]["method"] not in FITS]
        if not maps:
            continue
        row, x = max(maps, key=lambda pair: pair[1].value)
        text = (
            f"{run.label}: among the descriptions of this and other images, the map of its own is "
            f"closest to where {WHO[provenance]} looked in {percent_interval(x)} of the images "
            f"with {method_name(row)} (chance {100 * float(row['chance'] or 0):.0f}%"
        )
        known = [(FITS[str(r["method"])], y) for r, y in defined if r["method"] in FITS]
        sentences.append(
            text + (f"; by {known[0][0]} {percent_interval(known[0][1])})." if known else ").")
        )
    return sentences


def _ranking_figures(run: StudyRun):
    return [
        ranking_figure(pick(_ranking(run), provenance=provenance), provenance)
        for provenance in known_first(values(_ranking(run), "provenance"), tuple(WHO))
    ]


def _ranking_tables(run: StudyRun) -> list[Table]:
    rows = _ranking(run)
    if not rows:
        return []
    return [
        table(
            file_name("alignment", run.label, "ranking"),
            f"{run.label}, a {KINDS[kind_of(rows)]}: the description whose map is closest to "
            "where the observers looked, with 95% intervals; ties share the first place.",
            rows,
            (
                cell("method", ranked_by, numeric=False),
                text("weights"),
                text("provenance", "observers", WHO),
                shares("preferred", "own text first"),
                cell(
                    "chance",
                    lambda row: "" if row["chance"] is None else f"{100 * row['chance']:.0f}%",
                ),
                numbers("rank", "mean rank"),
                count("n", "images"),
                count("n_undefined", "undefined"),
            ),
            folded=True,
        )
    ]
