"""Intervals hold the truth about as often as they say: a small part of `benchmarks.coverage`."""

import math

import pytest

from benchmarks.coverage import SHAPES, measure, rejections

REPLICATIONS = 100
# Of about twenty shapes none should leave these bounds by chance: 3 Monte Carlo errors.
ERROR = 3 * math.sqrt(0.95 * 0.05 / REPLICATIONS)


@pytest.mark.parametrize(
    "shape", [one for one in SHAPES if not one.name.startswith("band")], ids=lambda one: one.name
)
def test_intervals_cover(shape) -> None:
    assert measure(shape, REPLICATIONS).coverage >= 0.93 - ERROR


@pytest.mark.parametrize("name", ["best of 33 layers", "least of 26 windows"])
def test_the_interval_of_the_one_chosen_by_looking_does_not(name) -> None:
    shape = next(one for one in SHAPES if one.name.startswith(name))
    assert measure(shape, REPLICATIONS).naive < 0.93 - ERROR


def test_a_band_holds_a_whole_curve() -> None:
    shape = next(one for one in SHAPES if one.name.startswith("band of 33 layers, 12"))
    row = measure(shape, 40)
    assert row.coverage >= 0.8
    assert row.naive < 0.6


def test_dependent_pairs_without_a_difference_are_not_called_different() -> None:
    found = rejections(REPLICATIONS)
    assert found["paired test"] <= 0.05 + ERROR
    assert found["McNemar over pairs"] > 0.25
