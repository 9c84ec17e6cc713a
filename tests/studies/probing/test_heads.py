"""Heads: what they can and cannot read, and that the penalty is chosen on validation."""

from __future__ import annotations

import numpy as np
import pytest

from retinoscope.errors import InputError
from retinoscope.studies.probe.heads import STRENGTHS, Scaling, fit_linear, fit_small, projection


def test_z_scores_are_those_of_training_and_constants_become_0() -> None:
    x = np.array([[0, 5, 256.0], [2, 5, 256.0001]], np.float32)
    scaling = Scaling.of(x)
    assert scaling(x)[:, 0].tolist() == [-1, 1]
    assert scaling(np.array([[4, 9, 0]], np.float32)).tolist() == [[3, 0, 0]]
    with pytest.raises(InputError, match="NaN"):
        Scaling.of(np.array([[np.nan]]))
    with pytest.raises(InputError, match="got none"):
        Scaling.of(np.zeros((0, 3)))


def test_wide_features_are_projected_by_one_matrix() -> None:
    first, again = projection(64, 16, 0), projection(64, 16, 0)
    assert first is not None
    assert (first == again).all()
    assert (first != projection(64, 16, 1)).any()
    assert projection(16, 16, 0) is None
    x = np.random.default_rng(0).standard_normal((50, 64)).astype(np.float32)
    kept = np.linalg.norm(x @ first, axis=1) / np.linalg.norm(x, axis=1)
    assert kept.mean() == pytest.approx(1, abs=0.1), "lengths stay on average"


def test_a_linear_head_reads_what_is_linear_and_chooses_on_validation() -> None:
    rng = np.random.default_rng(0)
    centers = rng.standard_normal((3, 8)) * 3
    label = rng.integers(0, 3, 300)
    x = (centers[label] + rng.standard_normal((300, 8))).astype(np.float32)
    seen: list[float] = []

    def score(scores: np.ndarray) -> float:
        value = float((scores.argmax(1) == label[200:]).mean())
        seen.append(value)
        return value

    head = fit_linear(x[:200], label[:200], 4, x[200:], score)
    assert len(seen) == len(STRENGTHS)
    assert head.val == max(seen)
    assert head.strength == sorted(STRENGTHS)[int(np.argmax(seen))], "of equals the strongest"
    assert head.val > 0.9
    assert head.n_parameters == 8 * 4 + 4
    assert (head.scores(x).argmax(1) != 3).all(), "a class without a case is never said"
    with pytest.raises(InputError, match="two classes"):
        fit_linear(x[:9], np.zeros(9, int), 2, x, score)


def test_two_classes_and_several_at_once() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((200, 4)).astype(np.float32)
    for label in ((x[:, 0] > 0).astype(int), np.stack([x[:, 0] > 0, x[:, 1] > 0.5], 1)):
        head = fit_linear(x, label, 2, x, lambda scores: -abs(scores).mean(), strengths=(1.0,))
        scores = head.scores(x)
        said = scores.argmax(1) if label.ndim == 1 else scores > 0
        assert (said == label).mean() > 0.95


def test_the_small_head_learns_objects_and_ways() -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((2000, 6)).astype(np.float32)
    inside = x[:, 0] > 0
    offset = 0.1 * x[:, 1:3]
    head = fit_small(x, inside, offset, np.ones(2000), 0.001, 3)
    said = head(x)
    assert ((said[:, 0] > 0) == inside).mean() > 0.95
    assert np.abs(said[inside, 1:] - offset[inside]).mean() < 0.03
    again = fit_small(x, inside, offset, np.ones(2000), 0.001, 3)
    assert (again(x) == said).all()
    assert head.n_parameters == 6 * 64 + 64 + 64 * 3 + 3
