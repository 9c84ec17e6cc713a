"""The comparison of trained encoders by their aggregation, over seeds."""

from __future__ import annotations

from collections.abc import Sequence

from ...report.blocks import (
    Column,
    Figure,
    Record,
    Table,
    number_interval,
    python_lines,
    signed,
)
from ...report.charts import Axis, Panel, Series, look_of, small_multiples
from ...report.findings import Finding, make_finding, paired_test, sentence_of
from ...report.rows import first, interval, number, pick, values
from ...report.style import SERIES
from ..runs import StudyRun

PAPER_NOTE = (
    "The paper's numbers are those of Ranasinghe et al. 2022: other models on other data, for "
    "orientation. Its text tower starts from Sentence-T5, ours from random weights."
)
_SHORT = {
    "accuracy": "accuracy",
    "mean IoU of labels from text": "labels from text",
    "overlap of groups by k-means": "groups, k-means",
    "overlap of groups by principal components": "groups, components",
}


def aggregation_finding(run: StudyRun) -> Finding | None:
    """Whether the maximum's locations know more about classes than the class token's."""
    measure, preferred = "mean IoU of labels from text", "contrastive-max-self"
    rows = run.extra("aggregation")
    row = first(rows, objective=preferred, measure=measure) or first(
        rows, objective="contrastive-max", measure=measure
    )
    x, test = interval(row, "value"), paired_test(row, images="images", scale=1)
    if row is None or x is None or test is None:
        return None
    reference = interval(first(rows, objective=row["against"], measure=measure), "value")
    return make_finding(
        "locations know more of classes under the maximum",
        f"{row['objective']} against {row['against']}, {measure}: {number_interval(x)}"
        + (f" against {number_interval(reference)}" if reference else "")
        + f", over images and {row['seeds']} seeds",
        [test],
        figure=f"{x.value:.2f}",
        versus=f"against {reference.value:.2f} with the class token" if reference else "",
    )


def aggregation_parts(run: StudyRun) -> tuple[list[str], list[Figure], list[Table]]:
    """Sentences, figures and tables of the comparison by aggregation; empty without seeds."""
    rows = run.extra("aggregation")
    if not rows:
        return [], [], []
    measures = [str(name) for name in values(rows, "measure")]
    objectives = [str(name) for name in values(rows, "objective")]
    sentences = [
        text
        for row in rows
        if row["difference"] is not None and (text := _difference(row, str(row["measure"])))
    ]
    return (
        sentences,
        [_aggregation_figure(run, rows, objectives)],
        [
            Table(
                name="group-aggregation",
                caption="By way of aggregation: mean over seeds, 95% intervals over images and "
                "seeds. Below, the difference from the class token's with the same start (of "
                "sub-sampling: from the same without it), and the paper's number.",
                columns=(
                    Column("objective", numeric=False),
                    *(Column(_SHORT.get(measure, measure)) for measure in measures),
                    Column("seeds"),
                ),
                rows=tuple(
                    (
                        objective,
                        *(_cell(first(rows, objective=objective, measure=m)) for m in measures),
                        f"{number(pick(rows, objective=objective)[0], 'seeds') or 0:.0f}",
                    )
                    for objective in objectives
                ),
                records=tuple(rows),
            )
        ],
    )


def _difference(row: Record, measure: str) -> str:
    test = paired_test(row, images="images", scale=1)
    if test is None:
        return ""
    return f"{row['objective']} against {row['against']}, {measure}: {sentence_of(test)}"


def _cell(row: Record | None) -> str:
    if row is None:
        return ""
    x, change, paper = interval(row, "value"), interval(row, "difference"), number(row, "paper")
    lines = ["n/a" if x is None else number_interval(x)]
    if change is not None:
        lines.append(signed(change))
    if paper is not None:
        lines.append(f"paper {paper:.3f}")
    return "\n".join(lines)


def _aggregation_figure(run: StudyRun, rows: Sequence[Record], objectives: Sequence[str]) -> Figure:
    """Labels from text against accuracy, and groups against accuracy; one mark per objective."""
    panels, facts = [], []
    for measure in ("mean IoU of labels from text", "overlap of groups by k-means"):
        series = []
        for k, objective in enumerate(objectives):
            x = interval(first(rows, objective=objective, measure="accuracy"), "value")
            y = interval(first(rows, objective=objective, measure=measure), "value")
            if x is not None and y is not None:
                look = look_of(k)._replace(hollow=k >= len(SERIES))
                series.append(Series(objective, [(x.value, y)], look, bars=True, along=[x]))
                facts.append(f"{objective}: {x.value:.2f}, {y.value:.2f}")
        panels.append(Panel(series, _SHORT[measure]))
    return Figure(
        name="group-aggregation",
        svg=small_multiples(
            "group-aggregation",
            panels,
            Axis("accuracy"),
            Axis(),
            size=(9.2, 3.8),
            same=False,
            legend=3,
        ),
        alt="Accuracy against what locations know, by objective. " + "; ".join(facts) + ".",
        caption="Accuracy of the whole image against what single locations know, mean over seeds; "
        "bars are 95% intervals over images and seeds.",
        code=python_lines(run.place, _LINES, 'extras()["aggregation"]'),
    )


_LINES = """
by = {(row["objective"], row["measure"]): row for row in rows}
for measure in ("mean IoU of labels from text", "overlap of groups by k-means"):
    figure, panel = plt.subplots()
    for objective in dict.fromkeys(row["objective"] for row in rows):
        x, y = by.get((objective, "accuracy")), by.get((objective, measure))
        if x and y:
            bars = [
                [[row["value"] - row["value_low"]], [row["value_high"] - row["value"]]]
                for row in (x, y)
            ]
            panel.errorbar(
                [x["value"]], [y["value"]], xerr=bars[0], yerr=bars[1], fmt="o", label=objective
            )
    panel.set(xlabel="accuracy", ylabel=measure)
    panel.legend()
plt.show()
"""
