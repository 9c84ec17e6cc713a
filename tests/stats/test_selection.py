import numpy as np
import pytest

from retinoscope.errors import InputError
from retinoscope.stats import cross_fitted, half_of, holm, simultaneous_level


def test_holm_by_hand():
    # 3 * 0.01, then 2 * 0.02 and 1 * 0.03, none below the one before it.
    assert holm([0.02, 0.01, 0.03]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.9, None, 0.8]) == [1.0, None, 1.0]
    assert holm([]) == []
    with pytest.raises(InputError, match="2"):
        holm([0.1, 2])


def test_bands_are_bonferronis():
    assert simultaneous_level(1) == pytest.approx(0.95)
    assert simultaneous_level(10) == pytest.approx(0.995)


def test_halves_are_equal_and_do_not_depend_on_the_order():
    names = [f"image {i}" for i in range(9)]
    halves = half_of(names)
    assert halves == half_of([*reversed(names), *names])
    assert sorted(halves.values()) == [0] * 5 + [1] * 4


def test_each_half_is_judged_with_the_favourite_of_the_other():
    # On half 0 candidate 0 is best, on half 1 candidate 2.
    values = np.array([[9.0, 1, 0], [8, 2, 1], [0, 1, 7], [1, 2, 6]])
    halves = np.array([0, 0, 1, 1])
    found = cross_fitted(values, np.full_like(values, 10), halves)
    assert found.favourites == (2, 0)
    assert found.chosen.tolist() == [2, 2, 0, 0]
    assert found.numerator.tolist() == [0, 1, 0, 1]
    # Smallest: candidate 2 on half 0, candidate 0 on half 1.
    least = cross_fitted(values, np.full_like(values, 10), halves, smallest=True)
    assert least.favourites == (0, 2)


def test_a_candidate_without_items_is_not_chosen():
    values, totals = np.array([[0.0, 1], [0, 1]]), np.array([[0.0, 5], [0, 5]])
    for smallest in (False, True):
        assert cross_fitted(values, totals, np.array([0, 1]), smallest).favourites == (1, 1)
    with pytest.raises(InputError, match="two groups"):
        cross_fitted(values, totals * [[1], [0]], np.array([0, 1]))
