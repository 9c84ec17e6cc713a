import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, t

from retinoscope.errors import InputError
from retinoscope.stats import (
    cluster_mean,
    cluster_ratio,
    cluster_share,
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
    with pytest.raises(InputError, match="successes"):
        wilson(successes, n)


def test_without_groups_the_mean_is_students():
    values = np.random.default_rng(1).normal(2, 3, 8)
    found = cluster_mean(values)
    low, high = t.interval(0.95, 7, values.mean(), values.std(ddof=1) / math.sqrt(8))
    assert (found.value, found.low, found.high) == pytest.approx((values.mean(), low, high))


def test_the_standard_error_of_a_ratio_is_the_jackknifes():
    top, bottom = np.array([1.0, 3, 2, 9]), np.array([2.0, 3, 4, 10])
    without = (top.sum() - top) / (bottom.sum() - bottom)
    ratio = 15 / 19
    # By hand: each ratio without one group, about that of all groups.
    error = math.sqrt(3 / 4 * ((without - ratio) ** 2).sum())
    # Kish: (2 + 3 + 4 + 10)^2 / (4 + 9 + 16 + 100) groups of equal size would be as good.
    freedom = 19**2 / 129 - 1
    found = cluster_ratio(top, bottom, list("abcd"))
    assert found.value == pytest.approx(ratio)
    assert found.high - ratio == pytest.approx(error * t.ppf(0.975, freedom))


def test_a_share_of_clusters_is_wilsons_with_the_effective_number():
    hits = [1, 1, 1, 0, 0, 0, 1, 0]
    found = cluster_share(hits, groups=list("aaabbbcc"))
    # Left out: a 1/5, b 4/5, c 3/6; about the share 1/2.
    error = math.sqrt(2 / 3 * (0.3**2 + 0.3**2 + 0))
    freedom = 64 / (9 + 9 + 4) - 1
    assert found.size == pytest.approx(0.25 / error**2)
    part = t.ppf(0.975, freedom) ** 2 / found.size
    half = math.sqrt(part / 4 + part**2 / 4) / (1 + part)
    assert (found.low, found.high) == pytest.approx((0.5 - half, 0.5 + half))


def test_groups_that_agree_within_are_worth_no_more_than_their_items():
    # Each image has exactly one of two right: the jackknife's error is 0.
    found = cluster_share([1, 0] * 10, groups=np.repeat(np.arange(10), 2))
    assert found.size == 20
    assert 0.2 < found.low < 0.5 < found.high < 0.8


def test_groups_widen_the_interval_when_items_of_a_group_repeat_each_other():
    generator = np.random.default_rng(0)
    per_image = generator.normal(size=40)
    values, groups = np.repeat(per_image, 25), np.repeat(np.arange(40), 25)
    naive, honest = cluster_mean(values), cluster_mean(values, groups)
    once = cluster_mean(per_image)
    assert honest.high - honest.low == pytest.approx(once.high - once.low)
    assert honest.high - honest.low > 3 * (naive.high - naive.low)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(FLOATS, st.integers(0, 5)), min_size=1, max_size=30),
    st.floats(-5, 5),
    st.randoms(),
)
def test_the_mean_moves_with_its_data_and_ignores_their_order(pairs, shift, random):
    values, groups = zip(*pairs, strict=True)
    first = cluster_mean(values, groups)
    moved = cluster_mean([v + shift for v in values], groups)
    for name in ("value", "low", "high"):
        expected = getattr(first, name) + shift
        assert getattr(moved, name) == pytest.approx(expected, abs=1e-6, nan_ok=True)
    mixed = list(pairs)
    random.shuffle(mixed)
    again = cluster_mean(*zip(*mixed, strict=True))
    assert again.low == pytest.approx(first.low, abs=1e-6, nan_ok=True)
    assert math.isnan(first.low) == (len(set(groups)) == 1)


def test_a_ratio_is_of_sums():
    found = cluster_ratio([1, 3, 0], [2, 4, 0], ["a", "b", "c"])
    assert found.value == pytest.approx(4 / 6)
    nothing = cluster_ratio([1, 2], [0, 0])
    assert math.isnan(nothing.value)
    assert nothing.reason == "the denominator is 0"
    constant = cluster_ratio([1, 2, 3], [2, 4, 6])
    assert (constant.value, constant.low, constant.high) == (0.5, 0.5, 0.5)


def test_one_group_has_a_value_and_no_interval():
    found = cluster_mean([1, 2, 3], ["a"] * 3)
    assert found.value == 2
    assert math.isnan(found.low)
    assert found.reason.startswith("one group")
    assert found.overlaps(wilson(1, 2))
    assert not found.excludes(99)


@pytest.mark.parametrize("statistic", [cluster_mean, proportion])
def test_no_items_are_undefined_with_a_reason(statistic):
    found = statistic([])
    assert math.isnan(found.value)
    assert (found.n, found.reason) == (0, "no items")


def test_a_share_never_claims_certainty():
    alone = proportion([True, True, False, True])
    assert alone == wilson(3, 4)
    agreed = proportion([1] * 40, np.repeat(np.arange(10), 4))
    assert agreed.value == 1
    # As of ten independent items, with Student's quantile.
    quantile = t.ppf(0.975, 9)
    assert agreed.low == pytest.approx(10 / (10 + quantile**2))
    assert "all items agree" in agreed.reason
    with pytest.raises(InputError, match=r"values\[1\] is 0\.5"):
        proportion([1, 0.5])
    with pytest.raises(InputError, match=r"hits\[1\] is 3 of 2"):
        cluster_share([1, 3], [2, 2])


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
        cluster_mean([1.0, 2.0, bad])
    with pytest.raises(InputError, match=r"denominator\[1\]"):
        cluster_ratio([1, 2], [1, bad])
    with pytest.raises(InputError, match=r"b\[0\]"):
        paired_difference([1.0], [bad])


def test_wrong_shapes_are_refused():
    with pytest.raises(InputError, match="one-dimensional"):
        cluster_mean(np.zeros((2, 2)))
    with pytest.raises(InputError, match="2 items, 1 groups"):
        cluster_mean([1, 2], ["a"])
    with pytest.raises(InputError, match=r"groups\[1\] is None"):
        cluster_mean([1, 2], ["a", None])
    with pytest.raises(InputError, match="mix types"):
        cluster_mean([1, 2], ["a", 1])
    with pytest.raises(InputError, match="pairs"):
        paired_difference([1, 2], [1])
    with pytest.raises(InputError, match="size above 0"):
        paired_difference([1, 2], [1, 2], sizes=[1, 0])
    with pytest.raises(InputError, match="numbers"):
        cluster_mean(["a", "b"])
    with pytest.raises(InputError, match="level"):
        cluster_mean([1, 2], level=95)
    with pytest.raises(InputError, match=r"denominator\[0\] is -1"):
        cluster_ratio([1, 2], [-1, 2])
