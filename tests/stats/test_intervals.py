import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, bootstrap

from retinoscope.errors import InputError
from retinoscope.stats import (
    bootstrap_mean,
    bootstrap_ratio,
    cohens_h,
    paired_difference,
    proportion,
    wilson,
)

FLOATS = st.floats(-100, 100)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_agrees_with_scipy(case):
    successes, n = case
    expected = binomtest(successes, n).proportion_ci(0.9, "wilson")
    found = wilson(successes, n, level=0.9)
    assert found.low == pytest.approx(expected.low, abs=1e-12)
    assert found.high == pytest.approx(expected.high, abs=1e-12)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.n == n


def test_wilson_of_nothing_is_undefined_with_a_reason():
    found = wilson(0, 0)
    assert math.isnan(found.value)
    assert found.reason == "no items"
    assert not found.defined


@pytest.mark.parametrize(("successes", "n"), [(3, 2), (-1, 2), (0.5, 2)])
def test_wilson_refuses_impossible_counts(successes, n):
    with pytest.raises(InputError, match="0 <= successes <= n"):
        wilson(successes, n)


def test_the_bootstrap_of_independent_items_agrees_with_scipy():
    values = np.random.default_rng(1).normal(2, 3, 80)
    ours = bootstrap_mean(values, n_resamples=20_000, seed=3)
    theirs = bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(4)
    ).confidence_interval
    assert ours.value == pytest.approx(values.mean())
    assert ours.low == pytest.approx(theirs.low, abs=0.03)
    assert ours.high == pytest.approx(theirs.high, abs=0.03)


def test_the_resamples_are_those_of_whole_groups():
    # Two groups: a resample is (A, A), (A, B), (B, A) or (B, B), so the mean is 0, 3/4 or 1.
    found = bootstrap_mean([0, 1, 1, 1], ["a", "b", "b", "b"], n_resamples=4000, level=0.4)
    assert (found.low, found.high) == (0.75, 0.75)
    wide = bootstrap_mean([0, 1, 1, 1], ["a", "b", "b", "b"], n_resamples=4000, level=0.95)
    assert (wide.low, wide.high) == (0.0, 1.0)
    assert (wide.n, wide.n_groups) == (4, 2)


def test_groups_widen_the_interval_when_items_of_a_group_repeat_each_other():
    generator = np.random.default_rng(0)
    per_image = generator.normal(size=40)
    values, groups = np.repeat(per_image, 25), np.repeat(np.arange(40), 25)
    naive, honest = bootstrap_mean(values), bootstrap_mean(values, groups)
    once = bootstrap_mean(per_image)
    assert honest.high - honest.low == pytest.approx(once.high - once.low)
    assert honest.high - honest.low > 3 * (naive.high - naive.low)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(5)
    covered = 0
    for trial in range(200):
        values = (generator.normal(size=(50, 1)) + generator.normal(size=(50, 4))).ravel()
        groups = np.repeat(np.arange(50), 4)
        covered += not bootstrap_mean(values, groups, 400, seed=trial).excludes(0.0)
    assert 0.89 <= covered / 200 <= 0.99


@settings(max_examples=40)
@given(
    st.lists(st.tuples(FLOATS, st.integers(0, 5)), min_size=1, max_size=30),
    st.floats(-5, 5),
    st.randoms(),
)
def test_the_bootstrap_moves_with_its_data_and_ignores_their_order(pairs, shift, random):
    values, groups = zip(*pairs, strict=True)
    first = bootstrap_mean(values, groups, 200)
    moved = bootstrap_mean([v + shift for v in values], groups, 200)
    for name in ("value", "low", "high"):
        expected = getattr(first, name) + shift
        assert getattr(moved, name) == pytest.approx(expected, abs=1e-9, nan_ok=True)
    mixed = list(pairs)
    random.shuffle(mixed)
    again = bootstrap_mean(*zip(*mixed, strict=True), 200)
    assert again.low == pytest.approx(first.low, abs=1e-9, nan_ok=True)
    assert math.isnan(first.low) == (len(set(groups)) == 1)
    if first.defined:
        assert min(values) - 1e-9 <= first.low <= first.high <= max(values) + 1e-9


def test_a_ratio_is_of_sums_and_counts_undefined_resamples():
    found = bootstrap_ratio([1, 3, 0], [2, 4, 0], ["a", "b", "c"], n_resamples=2000)
    assert found.value == pytest.approx(4 / 6)
    assert (found.low, found.high) == (0.5, 0.75)
    undefined = int(found.reason.split()[0])
    assert undefined / 2000 == pytest.approx(1 / 27, abs=0.02)
    nothing = bootstrap_ratio([1, 2], [0, 0])
    assert math.isnan(nothing.value)
    assert nothing.reason == "the denominator is 0"
    constant = bootstrap_ratio([1, 2, 3], [2, 4, 6])
    assert (constant.value, constant.low, constant.high) == (0.5, 0.5, 0.5)


def test_one_group_has_a_value_and_no_interval():
    found = bootstrap_mean([1, 2, 3], ["a"] * 3)
    assert found.value == 2
    assert math.isnan(found.low)
    assert found.reason.startswith("one group")
    assert found.overlaps(wilson(1, 2))
    assert not found.excludes(99)


@pytest.mark.parametrize("statistic", [bootstrap_mean, proportion])
def test_no_items_are_undefined_with_a_reason(statistic):
    found = statistic([])
    assert math.isnan(found.value)
    assert (found.n, found.reason) == (0, "no items")


def test_paired_difference_by_hand():
    a = [True] * 9 + [False] * 3
    b = [False] * 8 + [True] * 2 + [False] * 2
    found = paired_difference(a, b)
    assert (found.only_a, found.only_b) == (8, 1)
    assert found.value == pytest.approx(7 / 12)
    assert found.mcnemar_p == pytest.approx(2 * (1 + 9) / 2**9)
    # Flipping the signs of nine discordant pairs is the same binomial distribution.
    many = paired_difference(a, b, n_resamples=40_000)
    assert many.p == pytest.approx(found.mcnemar_p, abs=0.004)
    assert found.low <= found.value <= found.high


def test_paired_tests_take_repeats_within_a_group_as_one():
    a, b = [True] * 60, [False] * 60
    groups = np.repeat(["a", "b", "c"], 20)
    found = paired_difference(a, b, groups, n_resamples=5000)
    assert found.mcnemar_p < 1e-15
    assert found.p == pytest.approx(0.25, abs=0.03)


@settings(max_examples=40)
@given(st.lists(st.tuples(FLOATS, FLOATS, st.integers(0, 4)), min_size=2, max_size=20))
def test_swapping_a_pair_turns_the_difference(rows):
    a, b, groups = zip(*rows, strict=True)
    there, back = paired_difference(a, b, groups, 200), paired_difference(b, a, groups, 200)
    assert there.value == pytest.approx(-back.value, abs=1e-9)
    assert there.low == pytest.approx(-back.high, abs=1e-9, nan_ok=True)
    assert there.p == back.p
    assert there.mcnemar_p is None
    assert 0 < there.p <= 1


def test_no_pairs_and_equal_pairs():
    nothing = paired_difference([], [])
    assert math.isnan(nothing.value)
    assert math.isnan(nothing.p)
    same = paired_difference([True, False], [True, False])
    assert (same.value, same.p, same.mcnemar_p) == (0, 1, 1)


def test_a_share_takes_wilson_or_clusters_and_never_claims_certainty():
    alone = proportion([True, True, False, True])
    assert alone == wilson(3, 4)
    clustered = proportion([1, 1, 0, 1], ["a", "a", "b", "b"])
    assert "cluster bootstrap" in clustered.method
    agreed = proportion([1] * 40, np.repeat(np.arange(10), 4))
    assert agreed.value == 1
    assert agreed.low == pytest.approx(wilson(10, 10).low)
    assert "all items agree" in agreed.reason
    with pytest.raises(InputError, match=r"values\[1\] is 0\.5"):
        proportion([1, 0.5])


def test_cohens_h_by_hand():
    assert cohens_h(1, 0).value == pytest.approx(math.pi)
    assert cohens_h(0.5, 0.25).value == pytest.approx(math.pi / 2 - math.pi / 3)
    assert cohens_h(0.5, 0.25).magnitude == "medium"
    assert cohens_h(0.31, 0.3).magnitude == "negligible"
    assert cohens_h(0.2, 0.9).magnitude == "large"
    assert cohens_h(0.2, 0.9).value == -cohens_h(0.9, 0.2).value
    assert cohens_h(math.nan, 0.5).reason
    with pytest.raises(InputError, match="between 0 and 1"):
        cohens_h(1.2, 0.5)


@pytest.mark.parametrize("bad", [math.nan, math.inf, None])
def test_undefined_input_is_refused_with_its_index(bad):
    with pytest.raises(InputError, match=r"values\[2\]"):
        bootstrap_mean([1.0, 2.0, bad])
    with pytest.raises(InputError, match=r"denominator\[1\]"):
        bootstrap_ratio([1, 2], [1, bad])
    with pytest.raises(InputError, match=r"b\[0\]"):
        paired_difference([1.0], [bad])


def test_wrong_shapes_are_refused():
    with pytest.raises(InputError, match="one-dimensional"):
        bootstrap_mean(np.zeros((2, 2)))
    with pytest.raises(InputError, match="2 items, 1 groups"):
        bootstrap_mean([1, 2], ["a"])
    with pytest.raises(InputError, match=r"groups\[1\] is None"):
        bootstrap_mean([1, 2], ["a", None])
    with pytest.raises(InputError, match="mix kinds"):
        bootstrap_mean([1, 2], ["a", 1])
    with pytest.raises(InputError, match="pairs"):
        paired_difference([1, 2], [1])
    with pytest.raises(InputError, match="numbers"):
        bootstrap_mean(["a", "b"])
    with pytest.raises(InputError, match="level"):
        bootstrap_mean([1, 2], level=95)
    with pytest.raises(InputError, match=r"denominator\[0\] is -1"):
        bootstrap_ratio([1, 2], [-1, 2])


def test_the_seed_decides_and_large_inputs_are_chunked():
    generator = np.random.default_rng(0)
    values, groups = generator.normal(size=60_000), generator.integers(0, 5000, 60_000)
    started = time.process_time()
    first = bootstrap_mean(values, groups)
    assert time.process_time() - started < 20
    assert first == bootstrap_mean(values, groups)
    assert first.low != bootstrap_mean(values, groups, seed=1).low
    width = 2 * 1.96 / math.sqrt(60_000)
    assert first.high - first.low == pytest.approx(width, rel=0.15)
