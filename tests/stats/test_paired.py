import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test

from retinoscope.stats import paired_difference, wilson

FLOATS = st.floats(-100, 100)


def test_paired_difference_by_hand():
    a = [True] * 9 + [False] * 3
    b = [False] * 8 + [True] * 2 + [False] * 2
    found = paired_difference(a, b)
    assert (found.only_a, found.only_b) == (8, 1)
    assert found.value == pytest.approx(7 / 12)
    assert found.mcnemar_p == pytest.approx(2 * (1 + 9) / 2**9)
    # Flipping the signs of nine discordant pairs is the same binomial distribution.
    assert found.p == pytest.approx(found.mcnemar_p)
    assert found.significant
    assert 0 < found.low <= found.value <= found.high


def test_the_test_is_scipys_permutation_test():
    generator = np.random.default_rng(2)
    for n in (8, 40):
        a, b = generator.normal(0.4, 1, n), generator.normal(size=n)
        theirs = permutation_test(
            (a, b),
            lambda x, y, axis: np.mean(x - y, axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=20_000,
            rng=generator,
        ).pvalue
        ours = paired_difference(a, b, n_resamples=20_000).p
        assert ours == pytest.approx(theirs, abs=1e-9 if n == 8 else 0.008)


def test_the_interval_holds_what_the_test_would_not_reject():
    change = np.array([0.3, -0.1, 0.5, 0.2, 0.9, 0.4, 0.1])

    def p_of(delta):
        moved = change - delta
        sums = [abs(np.dot(signs, moved)) for signs in product((-1, 1), repeat=7)]
        return np.mean([one >= abs(moved.sum()) - 1e-12 for one in sums])

    found = paired_difference(change, np.zeros(7))
    assert found.p == pytest.approx(p_of(0))
    for end, inside in ((found.low, 1), (found.high, -1)):
        assert p_of(end + inside * 1e-6) >= 0.05
        assert p_of(end - inside * 1e-6) < 0.05


def test_several_pairs_of_a_group_are_one_and_mcnemar_is_left_out():
    a, b = [True] * 60, [False] * 60
    groups = np.repeat(["a", "b", "c"], 20)
    found = paired_difference(a, b, groups)
    assert found.mcnemar_p is None
    assert found.p == 2 / 2**3
    assert not found.significant
    assert math.isnan(found.low)
    assert "3 groups are too few" in found.reason


def test_dependent_pairs_are_not_rejected_more_often_than_said():
    """20 images of 5 equal pairs under the null: McNemar's test over pairs rejects 37% of them."""
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 5)
    rejected = 0
    for trial in range(300):
        a, b = (np.repeat(generator.random(20) < 0.5, 5) for _ in range(2))
        rejected += paired_difference(a, b, groups, 400, trial).significant
    assert rejected / 300 < 0.05 + 2.6 * math.sqrt(0.05 * 0.95 / 300)


def test_a_clear_effect_has_a_p_value_below_what_the_draws_can_show():
    found = paired_difference(np.full(60, 1.0) + np.arange(60) % 2, np.zeros(60))
    assert 0 < found.p < 1e-9


@settings(max_examples=40)
@given(st.lists(st.tuples(FLOATS, FLOATS, st.integers(0, 20)), min_size=2, max_size=40))
def test_swapping_a_pair_turns_the_difference_and_the_interval_says_what_the_test_says(rows):
    a, b, groups = zip(*rows, strict=True)
    there, back = paired_difference(a, b, groups, 200), paired_difference(b, a, groups, 200)
    assert there.value == pytest.approx(-back.value, abs=1e-9)
    assert there.low == pytest.approx(-back.high, abs=1e-9, nan_ok=True)
    assert there.p == back.p
    assert there.mcnemar_p is None or len(set(groups)) == len(rows)
    assert 0 < there.p <= 1
    if there.defined and min(abs(there.low), abs(there.high)) > 1e-6:
        assert there.significant == there.excludes(0)


def test_the_difference_of_ratios_weighs_images_by_their_sizes():
    a, b, sizes = np.arange(8.0) * 3, np.arange(8.0), np.arange(8.0) + 1
    found = paired_difference(a, b, sizes=sizes)
    assert found.value == pytest.approx((a - b).sum() / sizes.sum())
    assert found.low <= found.value <= found.high


def test_no_pairs_and_equal_pairs():
    nothing = paired_difference([], [])
    assert math.isnan(nothing.value)
    assert math.isnan(nothing.p)
    assert not nothing.significant
    same = paired_difference([True, False] * 5, [True, False] * 5)
    assert (same.value, same.p, same.mcnemar_p) == (0, 1, 1)
    assert (same.low, same.high) == (-wilson(0, 10).high, wilson(0, 10).high)
    assert "all groups agree" in same.reason


def test_the_seed_decides():
    change = np.random.default_rng(0).normal(size=4000)
    first = paired_difference(change, np.zeros(4000))
    assert first == paired_difference(change, np.zeros(4000))
    assert first.low != paired_difference(change, np.zeros(4000), seed=1).low
    # Random halves of the images spread as the mean does.
    assert first.high - first.low == pytest.approx(2 * 1.96 / math.sqrt(4000), rel=0.1)
