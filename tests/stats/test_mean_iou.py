"""Mean IoU: by hand, against torchmetrics, and its intervals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassJaccardIndex

from retinoscope.errors import InputError
from retinoscope.stats import (
    cell_bound,
    class_counts,
    class_iou,
    mean_iou,
    mean_iou_difference,
)


def _maps(n: int = 12, classes: int = 5, seed: int = 0, right: float = 0.6):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, (n, 9, 9))
    guess = rng.integers(0, classes, truth.shape)
    predicted = np.where(rng.random(truth.shape) < right, truth, guess)
    truth[rng.random(truth.shape) < 0.1] = 255
    return truth, predicted


def _counts(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    pairs = zip(truth, predicted, strict=True)
    return np.stack([class_counts(one, other, classes) for one, other in pairs])


def test_counts_by_hand() -> None:
    truth = np.array([[0, 0, 1], [1, 2, 255]])
    said = np.array([[0, 1, 1], [1, 0, 0]])
    counts = class_counts(truth, said, 4)
    assert counts.tolist() == [[1, 2, 2], [2, 3, 2], [0, 0, 1], [0, 0, 0]]
    assert class_iou(counts)[:3].tolist() == [1 / 3, 2 / 3, 0]
    assert np.isnan(class_iou(counts)[3]), "neither there nor predicted"
    assert mean_iou(counts[None]).value == pytest.approx((1 / 3 + 2 / 3 + 0) / 3)


def test_the_data_set_is_one_confusion_matrix_as_in_torchmetrics() -> None:
    # Class 5 is in no truth and in no prediction; 4 is predicted only.
    truth, predicted = _maps()
    truth[truth == 4] = 3
    metric = MulticlassJaccardIndex(6, average="macro", ignore_index=255)
    metric.update(torch.from_numpy(predicted), torch.from_numpy(truth))
    found = mean_iou(_counts(truth, predicted, 6))
    assert found.value == pytest.approx(float(metric.compute()), abs=1e-6)
    assert found.low < found.value < found.high
    assert found.n == found.n_groups == 12


def test_the_interval_is_that_of_resampled_images() -> None:
    truth, predicted = _maps(3)
    counts = _counts(truth, predicted, 5)
    every = [
        float(np.nanmean(class_iou(counts[list(chosen)].sum(0))))
        for chosen in itertools.product(range(3), repeat=3)
    ]
    found = mean_iou(counts, n_resamples=4000, level=0.9)
    assert found.low == pytest.approx(np.quantile(every, 0.05), abs=0.02)
    assert found.high == pytest.approx(np.quantile(every, 0.95), abs=0.02)
    assert mean_iou(counts[:1]).reason == "one image only: nothing to resample"


def test_a_difference_is_paired() -> None:
    truth, better = _maps(40, right=0.7)
    _, worse = _maps(40, right=0.6)
    a, b = _counts(truth, better, 5), _counts(truth, worse, 5)
    found = mean_iou_difference(a, b)
    assert found.value == pytest.approx(mean_iou(a).value - mean_iou(b).value)
    assert found.low > 0
    assert found.p < 0.05
    same = mean_iou_difference(a, a)
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_what_does_not_fit_is_refused() -> None:
    ok = np.zeros((2, 2), int)
    with pytest.raises(InputError, match="same size"):
        class_counts(ok, np.zeros((2, 3), int), 2)
    with pytest.raises(InputError, match=r"0 to 1 .*got 0 to 7 in the prediction"):
        class_counts(ok, np.array([[0, 7], [0, 0]]), 2)
    with pytest.raises(InputError, match=r"image, label, 3"):
        mean_iou(np.zeros((2, 3)))
    with pytest.raises(InputError, match="same images"):
        mean_iou_difference(np.ones((2, 3, 3), int), np.ones((3, 3, 3), int))
    assert np.isnan(mean_iou(np.zeros((2, 3, 3), int)).value)


def test_no_map_that_is_constant_on_cells_passes_the_bound() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 3, 60)
    cell = np.sort(rng.integers(0, 6, 60))
    cells = np.zeros((6, 3), int)
    np.add.at(cells, (cell, truth), 1)
    bound = cell_bound(cells)
    best = np.zeros(3)
    for labels in itertools.product(range(3), repeat=6):
        found = class_iou(class_counts(truth, np.array(labels)[cell], 3))
        best = np.fmax(best, found)
        assert np.nanmean(found) <= np.nanmean(bound) + 1e-12
    assert bound == pytest.approx(best), "and each class reaches its own"


def test_aligned_cells_are_bounded_by_1_and_absent_classes_are_undefined() -> None:
    bound = cell_bound(np.array([[4, 0, 0], [0, 4, 0]]))
    assert bound[:2].tolist() == [1, 1]
    assert np.isnan(bound[2])


def test_pixels_in_no_cell_are_out_of_reach() -> None:
    cells, missed = np.array([[4, 0, 0], [0, 4, 0]]), np.array([0, 4, 1])
    assert cell_bound(cells, missed).tolist() == [1, 0.5, 0]
    # Said to be of the second class, they are right there, and wrong where the third is.
    assert cell_bound(cells, missed, missed_as=1) == pytest.approx([1, 8 / 9, 0])
    assert cell_bound(np.array([[0, 4]]), np.array([6, 0]), missed_as=0).tolist() == [1, 1]
