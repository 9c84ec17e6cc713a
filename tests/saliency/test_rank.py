"""Rank correlation with its interval."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

import retinoscope as rs
from retinoscope.saliency import rank_correlation


def test_it_is_spearmans() -> None:
    rng = np.random.default_rng(0)
    first = rng.normal(size=30).round(1)
    second = first + rng.normal(size=30).round(1)
    found = rank_correlation(first, second)
    wanted = stats.spearmanr(first, second)
    assert found.value == pytest.approx(wanted.statistic)
    assert found.p == pytest.approx(wanted.pvalue)
    assert found.low < found.value < found.high
    assert found.n == 30
    assert "1000 resamples" in found.method
    assert rank_correlation(first, -second).value == pytest.approx(-found.value)
    assert found == rank_correlation(first, second)


def test_the_interval_is_that_of_the_plain_bootstrap() -> None:
    rng = np.random.default_rng(1)
    first = rng.normal(size=20)
    second = first + rng.normal(size=20)
    drawn = np.random.default_rng(4).integers(0, 20, (200, 20))
    values = [stats.spearmanr(first[rows], second[rows]).statistic for rows in drawn]
    found = rank_correlation(first, second, n_resamples=200, seed=4)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))


def test_any_increasing_function_keeps_the_order() -> None:
    values = np.linspace(-2, 2, 9)
    found = rank_correlation(values, np.exp(values))
    assert found.value == pytest.approx(1)
    assert found.high == pytest.approx(1)


def test_what_is_constant_has_no_order() -> None:
    found = rank_correlation(np.zeros(5), np.arange(5.0))
    assert math.isnan(found.value)
    assert not found.defined
    assert found.reason == "all estimates are the same"
    assert rank_correlation(np.arange(5.0), np.ones(5)).reason == "all exact values are the same"
    some = rank_correlation(np.array([0.0, 0, 1]), np.array([0.0, 1, 2]))
    assert some.reason is not None
    assert "of 1000 resamples undefined" in some.reason
    assert some.defined


def test_refusals() -> None:
    with pytest.raises(rs.InputError, match="at least 3 tokens"):
        rank_correlation(np.zeros(2), np.zeros(2))
    with pytest.raises(rs.InputError, match="two values of each token"):
        rank_correlation(np.zeros(4), np.zeros(5))
    with pytest.raises(rs.InputError, match="finite"):
        rank_correlation(np.array([0.0, np.nan, 1]), np.zeros(3))
