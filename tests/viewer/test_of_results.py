"""Documents of finished studies hold what their tables say."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from retinoscope.studies import Results, open_results
from retinoscope.studies.token_sets import NOTHING, OBJECT, NamedSet
from retinoscope.viewer._library import Library, _merged
from retinoscope.viewer._of_results import StudyDocuments, edge_of, questions_of


def study(library: Library, name: str) -> StudyDocuments:
    return next(one for one in library.studies if one.run.study == name)


def test_the_rows_of_each_sample_are_the_tables(library: Library, runs: Path) -> None:
    for one in library.studies:
        table = open_results(runs / one.id).table.to_pylist()
        count = Counter(row["sample"] for row in table)
        assert one.sample_ids() == list(dict.fromkeys(row["sample"] for row in table))
        for sample, n in count.items():
            rows = one.rows(sample)
            assert len(rows) == n
            wanted = [row for row in table if row["sample"] == sample]
            for row, known in zip(rows, wanted, strict=True):
                assert row.get("p_after") == known.get("probability_after")
                assert row.get("before") == known.get("answer_before")
                assert row["condition"] == (one.condition(known) or "none")
        assert one.rows("no such sample") == []


def test_outcomes_say_what_became_wrong(library: Library, runs: Path) -> None:
    one = study(library, "ablation")
    table = open_results(runs / "ablation").table.to_pylist()
    for sample in library.ids:
        rows = [row for row in table if row["sample"] == sample]
        told = one.outcome(sample)
        assert told is not None
        assert told.baseline == any(row["baseline_correct"] for row in rows)
        broken = {
            NamedSet.of(row).label
            for row in rows
            if row["baseline_correct"] and row["token_set"] != NOTHING and not row["correct"]
        }
        assert set(told.broken) == broken
    assert any(told and told.broken for told in map(one.outcome, library.ids))
    assert one.outcome("no such sample") is None


def test_the_flow_is_the_summary_and_its_cells_name_their_samples(
    library: Library, runs: Path
) -> None:
    flow = study(library, "knockout").flow({name: i for i, name in enumerate(library.ids)})
    assert flow is not None
    results = open_results(runs / "knockout")
    summary = results.summary().to_pylist()
    assert flow.value.shape == (2, 1, 2)
    assert np.isfinite(flow.value).sum() == len(summary)
    for row in summary:
        source, target, window = edge_of(row)
        s, t = flow.sources.index(source), flow.targets.index(target)
        w = [one.name for one in flow.windows].index(window)
        assert flow.value[s, t, w] == np.float32(row["accuracy"])
        assert flow.low[s, t, w] == np.float32(row["accuracy_low"])
        assert flow.n[s, t, w] == row["n"]
        rows = [
            r
            for r in results.table.to_pylist()
            if r["baseline_correct"]
            and r["token_set"] != NOTHING
            and edge_of(r) == (source, target, window)
        ]
        wrong = {library.ids.index(r["sample"]) for r in rows if not r["correct"]}
        right = {library.ids.index(r["sample"]) for r in rows if r["correct"]} - wrong
        assert set(flow.samples[f"{s},{t},{w}"]) == wrong
        assert set(flow.kept[f"{s},{t},{w}"]) == right
    assert study(library, "lens").flow({}) is None


@pytest.mark.parametrize("name", ["ablation", "lens", "knockout"])
def test_tables_carry_their_intervals(library: Library, runs: Path, name: str) -> None:
    table = study(library, name).table()
    results: Results = open_results(runs / name)
    summary = results.summary().to_pylist()
    assert len(table.rows) == len(summary)
    for cells, row in zip(table.rows, summary, strict=True):
        for column, cell in zip(table.columns, cells, strict=True):
            if column.kind == "estimate" and cell is not None:
                wanted = [row[column.name + end] for end in ("", "_low", "_high")]
                assert cell == wanted
            else:
                assert cell == row[column.name]
    assert any(column.kind == "estimate" for column in table.columns)
    assert [part.title for part in table.more] == [
        key.replace("_", " ") for key in results.extras()
    ]


def test_the_spread_is_one_number_per_sample(library: Library, runs: Path) -> None:
    spread = {one.key: one.values for one in study(library, "ablation").table().spread}
    rows = [
        row
        for row in open_results(runs / "ablation").table.to_pylist()
        if NamedSet.of(row) == OBJECT and row["baseline_correct"]
    ]
    changes: dict[str, list[float]] = {}
    for row in rows:
        change = row["probability_after"] - row["probability_before"]
        changes.setdefault(row["sample"], []).append(change)
    assert spread["object"] == pytest.approx([np.mean(found) for found in changes.values()])


def test_questions_are_the_clean_answers(library: Library, scenes: list) -> None:
    rows = [row for one in library.studies for row in one.rows(library.ids[0])]
    asked = {one.question: one for one in questions_of(rows)}
    known = {one.question: one.answer for one in scenes[0].questions}
    assert asked
    for question, one in asked.items():
        assert known[question] == one.answer
        if one.correct:
            assert one.predicted is not None
            assert one.predicted.strip() == one.answer


def test_orders_of_parts_become_one_order() -> None:
    assert _merged([["a", "c"], ["a", "b", "c", "d"]]) == ["a", "b", "c", "d"]
    assert _merged([["b"], ["a", "b"], ["b", "c"]]) == ["a", "b", "c"]
    assert _merged([[], ["a"]]) == ["a"]
    assert _merged([["a", "b"], ["b", "a"]]) == ["a", "b"]
