"""Intervals over images and seeds."""

from __future__ import annotations

import numpy as np
import pytest

from retinoscope.errors import InputError
from retinoscope.stats import (
    class_iou,
    mean_iou,
    over_seeds,
    resampled_mean_iou,
    resampled_ratio,
)


def test_seeds_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    images = np.array([f"i{k}" for k in range(200)])
    ones = np.ones(200)
    right = [(rng.random(200) < share).astype(float) for share in (0.2, 0.5, 0.8)]
    draws = np.stack([resampled_ratio(one, ones, images) for one in right])
    values = np.array([one.mean() for one in right])
    found = over_seeds(values, draws, 200)
    assert found.value == pytest.approx(values.mean())
    assert found.low < 0.3
    assert found.high > 0.7
    assert found.n == 3
    alone = over_seeds(values[:1], draws[:1], 200)
    assert alone.high - alone.low < 0.15
    assert alone.reason == "one seed only: only images are resampled"


def test_a_difference_of_equal_models_is_zero() -> None:
    images = [f"i{k}" for k in range(50)]
    right = (np.arange(50) % 3 == 0).astype(float)
    draws = np.stack([resampled_ratio(right, np.ones(50), images)] * 2)
    found = over_seeds(np.zeros(2), draws - draws, 50)
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_resamples_of_mean_iou_are_those_of_its_interval() -> None:
    rng = np.random.default_rng(1)
    both = rng.integers(0, 20, (30, 4))
    counts = np.stack([both, both + rng.integers(0, 9, both.shape), both + 5], 2)
    draws = resampled_mean_iou(counts)
    found = mean_iou(counts)
    assert np.quantile(draws, 0.025) == found.low
    assert found.value == pytest.approx(np.nanmean(class_iou(counts.sum(0))))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="2 seeds"):
        over_seeds(np.zeros(2), np.zeros((3, 10)), 5)


def test_undefined_resamples_are_counted_and_an_undefined_seed_is_not_hidden() -> None:
    draws = np.array([[np.nan, 2.0, 2.0, 2.0], [1.0, 1.0, 1.0, 1.0]])
    alone = over_seeds(np.array([2.0]), draws[:1], 3)
    assert (alone.value, alone.low, alone.high) == (2, 2, 2)
    assert "1 of 4 resamples undefined" in str(alone.reason)
    lost = over_seeds(np.array([np.nan, 1.0]), draws, 3)
    assert not lost.defined
    assert np.isnan(lost.low)
    assert lost.reason == "the estimate of 1 of 2 seeds is undefined"
