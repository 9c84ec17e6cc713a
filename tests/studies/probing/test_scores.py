"""Measures of probes: by hand, and against scikit-learn and torchmetrics."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, average_precision_score, balanced_accuracy_score
from torchmetrics.classification import MulticlassJaccardIndex

from retinoscope.errors import InputError
from retinoscope.stats import class_iou
from retinoscope.studies.probe import scores as scores
from retinoscope.studies.probe.dense import Dense, band_of, boundary_overlap
from retinoscope.studies.probe.instances import best_cover, group_votes, overlaps, panoptic
from retinoscope.studies.probe.location_probes import _foreground_iou
from retinoscope.studies.probe.truth import Cells


def _sums(said, label, n_classes: int) -> np.ndarray:
    where = np.zeros(len(label), int)
    return scores.one_of(np.array(said), np.array(label), where, 1, n_classes)


def test_accuracies_by_hand() -> None:
    sums = _sums([0, 0, 1, 2], [0, 0, 0, 1], 4)
    assert scores.accuracy(sums).tolist() == [0.5]
    # Class 0: 2 of 3, class 1: 0 of 1; class 3 is nowhere, class 2 is said only.
    assert scores.class_accuracy(sums) == pytest.approx([(2 / 3 + 0) / 2])
    assert scores.miou(sums) == pytest.approx([(2 / 3 + 0 + 0) / 3])
    assert np.isnan(scores.class_accuracy(np.zeros((1, 2, 3)))).all(), "undefined, not 0"


def test_measures_are_those_of_the_libraries() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 5, 400)
    said = np.where(rng.random(400) < 0.6, label, rng.integers(0, 5, 400))
    sums = _sums(said, label, 6)
    assert scores.accuracy(sums)[0] == pytest.approx(accuracy_score(label, said))
    assert scores.class_accuracy(sums)[0] == pytest.approx(balanced_accuracy_score(label, said))
    metric = MulticlassJaccardIndex(6, average="macro")
    metric.update(torch.from_numpy(said), torch.from_numpy(label))
    assert scores.miou(sums)[0] == pytest.approx(float(metric.compute()), abs=1e-6)


def test_average_precision_is_that_of_scikit_learn_with_weights_and_ties() -> None:
    rng = np.random.default_rng(1)
    there = rng.random((60, 3)) < 0.3
    guess = np.round(there + rng.standard_normal((60, 3)), 1)
    guess[:, 2] = 0.0
    weights = np.stack([np.ones(60), rng.integers(0, 3, 60)])
    found = scores.average_precision(guess, there.astype(float), weights)
    for own, weight in zip(found, weights, strict=True):
        wanted = [
            average_precision_score(there[:, k], guess[:, k], sample_weight=weight)
            for k in range(3)
        ]
        assert own == pytest.approx(np.mean(wanted))
    assert np.isnan(scores.average_precision(guess, np.zeros((60, 3)), weights)).all()


def test_intervals_are_of_resampled_images_and_undefined_ones_say_so() -> None:
    weights = scores.weights_of(50)
    counts = np.stack([np.arange(50) % 2, np.ones(50)], 1)
    draws = scores.ratio(weights @ counts)
    found = scores.interval_of(draws, 50, 50)
    assert found.value == 0.5
    assert 0.3 < found.low < 0.42 < 0.58 < found.high < 0.7
    every = scores.interval_of(scores.ratio(weights @ np.ones((50, 2))), 50, 50)
    assert every.value == 1.0
    assert every.low < 1.0, "all agree: no certainty"
    assert not scores.interval_of(np.full(1001, np.nan), 0, 0).defined


def test_answers_hold_for_all_pixels_of_a_location() -> None:
    # Two locations of 4 pixels: 3 + 1, and 4 of class 1; one pixel of class 1 lies in neither.
    dense = Dense(
        1,
        2,
        2,
        np.zeros(4, int),
        np.array([0, 0, 1, -1]),
        np.array([0, 1, 1, 1]),
        np.array([3, 1, 4, 1]),
    )
    assert dense.counts(np.array([0, 1]))[0].tolist() == [[3, 5, 3], [4, 4, 6]]
    # Of class 1, location 1 alone reaches 4 of 6 pixels, with location 0 it is 5 of 9. Background
    # is said of location 0 and of the pixel in neither: 3 of 5.
    assert dense.bound().tolist() == [3 / 5, 4 / 6]


def test_the_bound_is_reached_where_pixels_lie_in_no_location() -> None:
    rng = np.random.default_rng(8)
    place, label, count = (rng.integers(*ends, 40) for ends in ((-1, 5), (0, 3), (1, 9)))
    dense = Dense(1, 5, 3, np.zeros(40, int), place, label, count)
    every = [dense.counts(np.array(said))[0] for said in itertools.product(range(3), repeat=5)]
    assert dense.bound() == pytest.approx(np.max([class_iou(one) for one in every], 0))


def test_bands_and_boundary_iou_by_hand() -> None:
    mask = np.zeros((20, 20), bool)
    mask[4:12, 4:12] = True
    assert band_of(mask).sum() == 64 - 36
    assert band_of(np.ones((4, 4), bool)).sum() == 12, "the image's edge is a contour"
    every = np.ones_like(mask)
    assert boundary_overlap(mask, mask, every) == (28, 28)
    moved = np.roll(mask, 8, 1)
    assert boundary_overlap(mask, moved, every) == (0, 56)
    assert boundary_overlap(mask, np.zeros_like(mask), every) == (0, 28)
    with pytest.raises(InputError, match="one size"):
        boundary_overlap(mask, mask[:4], every)


def test_votes_that_fall_together_are_one_object() -> None:
    votes = np.array([[0, 0], [1, 0], [10, 0], [10, 1], [5, 5], [np.nan, 0]], float)
    inside = np.array([True, True, True, True, False, True])
    assert group_votes(inside, votes, 2.0).tolist() == [0, 0, 1, 1, -1, -1]
    assert group_votes(np.zeros(6, bool), votes, 2.0).tolist() == [-1] * 6


def test_panoptic_quality_by_hand() -> None:
    # Locations 0, 1 show object 0; 2 is half object 1; each has 4 pixels.
    cells = Cells(np.array([0, 1, 2, 2, 3]), np.array([1, 1, 2, 0, 0]), np.array([4, 4, 2, 2, 4]))
    pixels = np.full(4, 4)
    iou, unknown = overlaps(np.array([0, 0, 1, 1]), cells, 2, pixels)
    assert not unknown.any()
    assert iou.tolist() == [[1, 0], [0, 0.25]]
    top, bottom = panoptic(iou)
    # One match of IoU 1; a group and an object are left: 1 + 1/2 + 1/2.
    assert (top, bottom) == (1, 2)
    assert best_cover(cells, 2, 4).tolist() == [1, 0.5]
    assert panoptic(np.zeros((0, 3))) == (0, 1.5)
    assert panoptic(np.zeros((0, 0))) == (0, 0)


def test_a_group_where_nothing_is_known_is_not_wrong() -> None:
    # Location 1 has no known pixel, location 2 a quarter, location 3 half.
    cells = Cells(np.array([0, 2, 3]), np.array([1, 0, 0]), np.array([4, 1, 2]))
    iou, unknown = overlaps(np.arange(4), cells, 1, np.full(4, 4))
    assert unknown.tolist() == [False, True, True, False]
    assert panoptic(iou, unknown) == (1, 1.5)
    # What matches an object counts, however little of it is known.
    iou, unknown = overlaps(np.zeros(4, int), Cells(*np.array([[0], [1], [4]])), 1, np.full(4, 4))
    assert unknown.tolist() == [True]
    assert panoptic(iou, unknown) == (1, 1)


def test_a_threshold_is_scored_as_the_counts_are() -> None:
    rng = np.random.default_rng(5)
    place = rng.integers(-1, 20, 200)
    label, count = rng.integers(0, 2, 200), rng.integers(1, 9, 200)
    dense = Dense(1, 20, 2, np.zeros(200, int), place, label, count)
    logits = np.stack([np.zeros(20), rng.standard_normal(20)], 1)
    for cut in (-9.0, 0.0, 0.7, 9.0):
        said = (logits[:, 1] > cut).astype(int)
        wanted = float(scores.iou(dense.counts(said).sum(0)[None])[0])
        assert _foreground_iou(dense.table(), logits, cut) == pytest.approx(wanted)
