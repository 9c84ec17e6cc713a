import pytest

from retinoscope.stats import cluster_share
from retinoscope.studies.token_sets import NOTHING, OBJECT, RING_1, NamedSet
from tests.studies.tabled import one, tabled

CLEAN = NamedSet(NOTHING)


def ablation_row(sample, tokens, correct, item=0, baseline_correct=True, **other):
    return {
        "sample": sample,
        "error": None,
        "item": item,
        "task": "polling",
        "mode": "corrected",
        **tokens.columns,
        "n_tokens": 10,
        "kept": None,
        "baseline_correct": baseline_correct,
        "correct": correct,
        "answer": "yes",
        "probability_before": 0.8,
        "probability_after": 0.8 if correct else 0.2,
    } | other


def test_decrease_counts_only_what_was_correct_and_kept():
    rows = [ablation_row(f"s{k}", RING_1, correct=k >= 3) for k in range(4)]
    rows += [ablation_row(f"s{k}", RING_1.control, correct=True) for k in range(4)]
    rows += [ablation_row(f"s{k}", CLEAN, correct=True) for k in range(4)]
    rows.append(ablation_row("wrong", RING_1, correct=False, baseline_correct=False))
    rows.append(ablation_row("filtered", RING_1, correct=False, kept=False))
    rows.append({"sample": "broken", "error": "unreadable"})
    summary = tabled("ablation", rows)
    row = one(summary, **RING_1.columns)
    assert row["decrease"] == 0.75
    assert 0 < row["decrease_low"] < 0.75 < row["decrease_high"] < 1
    assert (row["n"], row["n_samples"], row["n_tokens"]) == (4, 4, 10)
    assert row["probability_change"] == pytest.approx(-0.45)
    assert (row["difference"], row["difference_n"]) == (0.75, 4)
    assert "random" in row["control"]
    assert (row["paper"], row["paper_source"][:7]) == (0.5128, "Table 1")
    control = one(summary, **RING_1.control.columns)
    assert (control["decrease"], control["control"], control["paper"]) == (0.0, None, None)
    assert control["decrease_high"] > 0.1, "four items do not prove zero"


def test_a_control_is_paired_with_its_own_prompts_only():
    rows = [ablation_row("a", OBJECT, correct=False, item=k) for k in range(3)]
    rows.append(ablation_row("a", OBJECT.control, correct=False, item=0))
    rows.append(ablation_row("b", OBJECT.control, correct=True, item=1))
    row = one(tabled("ablation", rows), **OBJECT.columns)
    assert (row["difference"], row["difference_n"]) == (0.0, 1)


def test_token_sets_stand_in_the_papers_order():
    sets = [NamedSet("random", n_drawn=5), RING_1, NamedSet("gradient", n_drawn=20)]
    sets += [NamedSet("registers"), OBJECT, OBJECT.control, NamedSet("gradient", n_drawn=5)]
    sets += [NamedSet("random", n_drawn=100)]
    table = tabled("ablation", [ablation_row("a", tokens, correct=True) for tokens in sets])
    assert [NamedSet.of(row).label for row in table] == [
        *("object", "as many random tokens as object", "object + 1 ring", "registers"),
        *("5 tokens of highest gradient", "20 tokens of highest gradient"),
        *("5 random tokens", "100 random tokens"),
    ]


def test_balanced_accuracy_is_the_mean_over_present_and_absent():
    rows = [ablation_row(f"s{k}", CLEAN, correct=k < 6) for k in range(8)]
    rows += [ablation_row(f"s{k}", CLEAN, item=1, correct=k < 1, answer="no") for k in range(2)]
    table = tabled("ablation", rows, "baseline")
    assert one(table, part="present")["accuracy"] == 0.75
    assert one(table, part="absent")["accuracy"] == 0.5
    assert one(table, part="balanced")["accuracy"] == pytest.approx(0.625)
    assert one(table, part="all")["n"] == 10


def test_a_run_in_which_nothing_was_correct_has_an_empty_summary():
    rows = [ablation_row("a", CLEAN, correct=False, baseline_correct=False)]
    assert tabled("ablation", rows) == []
    assert one(tabled("ablation", rows, "baseline"), part="all")["accuracy"] == 0.0


def lens_rows(sample, group, strict, n_tokens=4, weights="trained", item=0):
    return [
        {
            "sample": sample,
            "error": None,
            "item": item,
            "object": "car",
            "layer": layer,
            "lens": "logit",
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
    table = tabled("lens", rows)
    row = one(table, group="object", layer=2, measure="strict")
    assert (row["share"], row["n_images"], row["n_tokens"]) == (3 / 5, 2, 5)
    assert (row["control"], row["difference"]) == ("background", 0.5)
    row = one(table, group="background", layer=1, measure="strict")
    assert (row["share"], row["difference"]) == (0.0, None)
    assert row["share_high"] is None, "one image proves nothing"


def test_best_layer_is_given_with_and_without_images_that_never_hit():
    rows = lens_rows("a", "object", [0, 4, 2]) + lens_rows("b", "object", [0, 0, 2])
    rows += lens_rows("c", "object", [0, 0, 0])
    table = tabled("lens", rows, "best_layer")
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


def knockout_row(sample, tokens, correct, window="all", **other):
    return {
        "sample": sample,
        "error": None,
        "item": 0,
        "kind": "color",
        **tokens.columns,
        "target": "last",
        "window": window,
        "first_layer": 0,
        "last_layer": 7,
        "width": 8,
        "n_source": 9,
        "n_edges": 72,
        "baseline_correct": True,
        "correct": correct,
        "probability_before": 0.9,
        "probability_after": 0.9 if correct else 0.1,
    } | other


def test_relative_accuracy_is_the_share_that_stays_correct():
    rows = [knockout_row(f"s{k}", RING_1, correct=k < 2) for k in range(8)]
    rows += [knockout_row(f"s{k}", RING_1.control, correct=k < 8) for k in range(8)]
    rows += [knockout_row(f"s{k}", CLEAN, correct=True, window="none") for k in range(8)]
    wrong = {"correct": False, "baseline_correct": False, "window": "none", "kind": "relation"}
    rows.append(knockout_row("w", CLEAN, **wrong))
    row = one(tabled("knockout", rows), token_set="object", rings=1, is_control=False)
    assert (row["accuracy"], row["n"], row["paper"]) == (0.25, 8, 0.67)
    assert row["probability_change"] == pytest.approx(-0.6)
    assert (row["difference"], row["difference_n"]) == (-0.75, 8)
    assert row["difference_high"] < 0
    assert one(tabled("knockout", rows, "baseline"), kind="all")["accuracy"] == pytest.approx(8 / 9)
    assert one(tabled("knockout", rows, "baseline"), kind="relation")["accuracy"] == 0.0
