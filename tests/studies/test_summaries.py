import pyarrow as pa
import pytest

from retinoscope.stats import cluster_share
from retinoscope.studies.ablation.estimates import baseline, condition_rank, summarise_ablation
from retinoscope.studies.knockout.estimates import knockout_baseline, summarise_knockout
from retinoscope.studies.lens.estimates import best_layer, summarise_lens


def ablation_row(sample, condition, correct, item=0, baseline_correct=True, **other):
    return {
        "sample": sample,
        "error": None,
        "item": item,
        "task": "polling",
        "mode": "corrected",
        "condition": condition,
        "n_tokens": 10,
        "kept": None,
        "baseline_correct": baseline_correct,
        "correct": correct,
        "answer": "yes",
        "probability_before": 0.8,
        "probability_after": 0.8 if correct else 0.2,
    } | other


def one(table, **where):
    rows = [r for r in table.to_pylist() if all(r[k] == v for k, v in where.items())]
    assert len(rows) == 1, rows
    return rows[0]


def test_decrease_counts_only_what_was_correct_and_kept():
    rows = [ablation_row(f"s{k}", "object+1", correct=k >= 3) for k in range(4)]
    rows += [ablation_row(f"s{k}", "random=object+1", correct=True) for k in range(4)]
    rows += [ablation_row(f"s{k}", "none", correct=True) for k in range(4)]
    rows.append(ablation_row("wrong", "object+1", correct=False, baseline_correct=False))
    rows.append(ablation_row("filtered", "object+1", correct=False, kept=False))
    rows.append({"sample": "broken", "error": "unreadable"})
    summary = summarise_ablation(pa.Table.from_pylist(rows))
    row = one(summary, condition="object+1")
    assert row["decrease"] == 0.75
    assert 0 < row["decrease_low"] < 0.75 < row["decrease_high"] < 1
    assert (row["n"], row["n_samples"], row["n_tokens"]) == (4, 4, 10)
    assert row["probability_change"] == pytest.approx(-0.45)
    assert (row["control"], row["difference"], row["difference_n"]) == ("random=object+1", 0.75, 4)
    assert (row["paper"], row["paper_source"][:7]) == (0.5128, "Table 1")
    control = one(summary, condition="random=object+1")
    assert (control["decrease"], control["control"], control["paper"]) == (0.0, None, None)
    assert control["decrease_high"] > 0.1, "four items do not prove zero"


def test_a_control_is_paired_with_its_own_prompts_only():
    rows = [ablation_row("a", "object", correct=False, item=k) for k in range(3)]
    rows.append(ablation_row("a", "random=object", correct=False, item=0))
    rows.append(ablation_row("b", "random=object", correct=True, item=1))
    row = one(summarise_ablation(pa.Table.from_pylist(rows)), condition="object")
    assert (row["difference"], row["difference_n"]) == (0.0, 1)


def test_conditions_stand_in_the_papers_order():
    names = ["random-5", "object+1", "gradient-20", "registers", "object", "random=object"]
    names += ["gradient-5", "random-100"]
    assert sorted(names, key=condition_rank) == [
        *("object", "random=object", "object+1", "registers"),
        *("gradient-5", "gradient-20", "random-5", "random-100"),
    ]


def test_balanced_accuracy_is_the_mean_over_present_and_absent():
    rows = [ablation_row(f"s{k}", "none", correct=k < 6) for k in range(8)]
    rows += [ablation_row(f"s{k}", "none", item=1, correct=k < 1, answer="no") for k in range(2)]
    table = baseline(pa.Table.from_pylist(rows))
    assert one(table, part="present")["accuracy"] == 0.75
    assert one(table, part="absent")["accuracy"] == 0.5
    assert one(table, part="balanced")["accuracy"] == pytest.approx(0.625)
    assert one(table, part="all")["n"] == 10


def test_a_run_in_which_nothing_was_correct_has_an_empty_summary():
    rows = [ablation_row("a", "none", correct=False, baseline_correct=False)]
    table = pa.Table.from_pylist(rows)
    assert summarise_ablation(table).num_rows == 0
    assert "decrease_low" in summarise_ablation(table).column_names
    assert one(baseline(table), part="all")["accuracy"] == 0.0


def lens_rows(sample, group, strict, n_tokens=4, weights="trained", item=0):
    return [
        {
            "sample": sample,
            "error": None,
            "item": item,
            "object": "car",
            "layer": layer,
            "group": group,
            "cover": None if group == "background" else 0.0,
            "weights": weights,
            "n_tokens": n_tokens,
            "strict": hits,
            "lenient": hits,
            "colour": 0,
            "any_kind": hits,
        }
        for layer, hits in enumerate(strict)
    ]


def test_lens_shares_are_hits_over_tokens_of_all_images():
    rows = lens_rows("a", "object", [0, 4, 2]) + lens_rows("b", "object", [0, 0, 1], n_tokens=1)
    rows += lens_rows("a", "background", [0, 0, 0], n_tokens=100)
    table = summarise_lens(pa.Table.from_pylist(rows))
    row = one(table, group="object", layer=2, measure="strict")
    assert (row["share"], row["n_images"], row["n_tokens"]) == (3 / 5, 2, 5)
    assert (row["control"], row["difference"]) == ("background", 0.5)
    row = one(table, group="background", layer=1, measure="strict")
    assert (row["share"], row["difference"]) == (0.0, None)
    assert row["share_high"] is None, "one image proves nothing"


def test_best_layer_is_given_with_and_without_images_that_never_hit():
    rows = lens_rows("a", "object", [0, 4, 2]) + lens_rows("b", "object", [0, 0, 2])
    rows += lens_rows("c", "object", [0, 0, 0])
    table = best_layer(pa.Table.from_pylist(rows))
    every = one(table, measure="strict", images="all")
    assert every["share"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert every["layer"] == pytest.approx((1 + 2 + 0) / 3)
    assert (every["n_layers"], every["paper_share"], every["paper_layer"]) == (3, 0.237, 25.7)
    hitting = one(table, measure="strict", images="hitting")
    assert (hitting["share"], hitting["layer"], hitting["n_images"]) == (0.75, 1.5, 2)
    curve = one(table, measure="strict", images="mean curve")
    assert (curve["layer"], curve["share"]) == (1.0, pytest.approx(1 / 3))


def test_shares_without_any_hit_do_not_claim_certainty():
    interval = cluster_share([0, 0, 0], [5, 5, 5], ["a", "b", "c"])
    assert (interval.value, interval.low) == (0.0, 0.0)
    assert interval.high > 0.4


def knockout_row(sample, source, correct, window="all", **other):
    return {
        "sample": sample,
        "error": None,
        "item": 0,
        "kind": "color",
        "source": source,
        "target": "last",
        "window": window,
        "first_layer": 0,
        "last_layer": 7,
        "n_source": 9,
        "n_edges": 72,
        "baseline_correct": True,
        "correct": correct,
        "probability_before": 0.9,
        "probability_after": 0.9 if correct else 0.1,
    } | other


def test_relative_accuracy_is_the_share_that_stays_correct():
    rows = [knockout_row(f"s{k}", "object+1", correct=k < 2) for k in range(8)]
    rows += [knockout_row(f"s{k}", "random=object+1", correct=k < 8) for k in range(8)]
    rows += [knockout_row(f"s{k}", "none", correct=True, window="none") for k in range(8)]
    wrong = {"correct": False, "baseline_correct": False, "window": "none", "kind": "relation"}
    rows.append(knockout_row("w", "none", **wrong))
    table = pa.Table.from_pylist(rows)
    row = one(summarise_knockout(table), source="object+1")
    assert (row["accuracy"], row["n"], row["paper"]) == (0.25, 8, 0.67)
    assert row["probability_change"] == pytest.approx(-0.6)
    assert (row["control"], row["difference"], row["difference_n"]) == (
        "random=object+1",
        -0.75,
        8,
    )
    assert row["difference_high"] < 0
    assert one(knockout_baseline(table), kind="all")["accuracy"] == pytest.approx(8 / 9)
    assert one(knockout_baseline(table), kind="relation")["accuracy"] == 0.0
