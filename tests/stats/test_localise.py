"""How well a map finds a region: by hand on a 4 x 4 map, and against scikit-learn."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, jaccard_score

from retinoscope.errors import InputError
from retinoscope.stats import maps

S = np.array([[0, 1, 2, 3], [1, 5, 2, 0], [0, 2, 8, 1], [1, 0, 1, 3]], float)
INSIDE = np.zeros((4, 4), bool)
INSIDE[1:3, 1:3] = True
"""The values inside are 5, 2, 2 and 8, of a sum of 30."""


def test_by_hand() -> None:
    assert maps.pointing_game(S, INSIDE).value == 1.0
    assert maps.pointing_game(S, ~INSIDE).value == 0.0
    assert maps.mass_inside(S, INSIDE).value == pytest.approx(17 / 30)
    # 8, 5: precision 1, 1. Then two 3s outside. Of the three 2s two are inside: 4 of 7.
    assert maps.average_precision(S, INSIDE).value == pytest.approx(0.25 + 0.25 + 0.5 * 4 / 7)
    # Above 2: 4 of 7 pixels, none missed; above 5: 2 of 2, two missed.
    best = maps.best_iou(S, INSIDE)
    assert best.value == pytest.approx(4 / 7)
    assert best.settings["threshold"] == 2.0
    assert maps.equal_area_iou(S, INSIDE.astype(float)).value == pytest.approx(2 / 6)


def test_tied_maxima_count_by_their_share() -> None:
    tied = S.copy()
    tied[0, 0] = tied[3, 3] = 8
    found = maps.pointing_game(tied, INSIDE)
    assert found.value == pytest.approx(1 / 3)
    assert found.n == 3


def test_tolerance_is_a_distance() -> None:
    point = np.zeros((9, 9))
    point[4, 4] = 1
    near = np.zeros((9, 9), bool)
    near[4, 7] = True
    assert maps.pointing_game(point, near, tolerance=2).value == 0
    assert maps.pointing_game(point, near, tolerance=3).value == 1
    corner = np.zeros((9, 9), bool)
    corner[7, 7] = True
    assert maps.pointing_game(point, corner, tolerance=4).value == 0
    assert maps.pointing_game(point, corner, tolerance=5).value == 1


def test_average_precision_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    for ties in (1, 4, 40):
        for _ in range(20):
            values = np.round(rng.normal(size=(12, 9)) * ties) / ties
            inside = rng.random((12, 9)) < 0.2
            wanted = average_precision_score(inside.ravel(), values.ravel())
            assert maps.average_precision(values, inside).value == pytest.approx(wanted, abs=1e-12)


def test_ious_are_scikit_learns_and_the_best_is_the_best() -> None:
    rng = np.random.default_rng(1)
    for _ in range(3):
        values, inside = rng.normal(size=(12, 9)), rng.random((12, 9)) < 0.2
        found = maps.otsu_iou(values, inside)
        above = values >= found.settings["threshold"]
        assert found.value == pytest.approx(jaccard_score(inside.ravel(), above.ravel()))
        every = [jaccard_score(inside.ravel(), (values >= t).ravel()) for t in values.ravel()]
        assert maps.best_iou(values, inside).value == pytest.approx(max(every))


def test_otsu_separates_two_heaps() -> None:
    rng = np.random.default_rng(2)
    values = np.concatenate([rng.normal(0, 0.1, 500), rng.normal(3, 0.1, 100)])
    assert 0.3 < maps.otsu(values) < 2.7
    # Exhaustively: no other edge of the histogram has more variance between the classes.
    counts, edges = np.histogram(values, 256)
    middles = (edges[:-1] + edges[1:]) / 2
    at = [
        counts[:k].sum()
        * counts[k:].sum()
        * (
            np.average(middles[:k], weights=counts[:k])
            - np.average(middles[k:], weights=counts[k:])
        )
        ** 2
        for k in range(1, 256)
    ]
    chosen = int(np.flatnonzero(edges == maps.otsu(values))[0])
    assert at[chosen - 1] == pytest.approx(max(at))


def test_a_value_at_otsus_threshold_is_above_it() -> None:
    """As in the histogram that chose it: each bin begins with its own lower edge."""
    values = np.arange(257.0).reshape(1, -1)
    assert maps.otsu(values) == 128
    upper = maps.otsu_iou(values, values >= 128)
    assert upper.value == 1
    assert upper.n == 129


def test_chance_is_the_regions_share() -> None:
    rng = np.random.default_rng(3)
    inside = np.zeros((20, 20), bool)
    inside[:5] = True
    for metric in (maps.pointing_game, maps.mass_inside, maps.average_precision):
        found = [metric(rng.random((20, 20)), inside).value for _ in range(400)]
        assert np.mean(found) == pytest.approx(0.25, abs=0.07)
    assert maps.mass_inside(np.ones((20, 20)), inside).value == pytest.approx(0.25)


@pytest.mark.parametrize(
    "metric",
    [
        maps.pointing_game,
        maps.mass_inside,
        maps.average_precision,
        maps.best_iou,
        maps.otsu_iou,
    ],
)
def test_what_is_undefined_says_why(metric) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        empty = metric(S, np.zeros((4, 4), bool))
        flat = metric(np.zeros((4, 4)), INSIDE)
    assert math.isnan(empty.value)
    assert empty.reason == "the region is empty"
    assert math.isnan(flat.value)
    assert flat.reason in ("the map is constant", "the map adds up to 0")
    for bad in (math.nan, math.inf):
        broken = S.copy()
        broken[1, 2] = bad
        with pytest.raises(InputError, match="without NaN and infinity"):
            metric(broken, INSIDE)
    with pytest.raises(InputError, match="boolean array"):
        metric(S, np.zeros((4, 5), bool))
    with pytest.raises(InputError, match="boolean array"):
        metric(S, S)


def test_negative_values_need_a_meaning() -> None:
    with pytest.raises(InputError, match="negatives='clip'"):
        maps.mass_inside(S - 2, INSIDE)
    found = maps.mass_inside(S - 2, INSIDE, negatives="clip")
    assert found.value == pytest.approx(9 / 11)
    assert found.settings == {"negatives": "clip"}
    with pytest.raises(InputError, match="tolerance"):
        maps.pointing_game(S, INSIDE, tolerance=-1)
