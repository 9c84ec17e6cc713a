"""Tokens as pixels: which token a pixel belongs to, and interpolation between tokens."""

from __future__ import annotations

import numpy as np
import pytest

from retinoscope.errors import InputError
from retinoscope.tokens import spread, token_map

NAN = [np.nan] * 4


def _grid(rows: int, columns: int, side: float) -> np.ndarray:
    return np.array(
        [
            [c * side, r * side, (c + 1) * side, (r + 1) * side]
            for r in range(rows)
            for c in range(columns)
        ]
    )


def test_a_pixel_belongs_to_the_box_that_holds_its_centre() -> None:
    boxes = np.array([NAN, [0, 0, 1.5, 2], [1.5, 0, 3, 2]])
    assert token_map(boxes, (4, 2)).tolist() == [[1, 2, 2, -1]] * 2
    boxes[1:, [0, 2]] = [[0, 1.6], [1.6, 3]]
    assert token_map(boxes, (4, 2)).tolist() == [[1, 1, 2, -1]] * 2


def test_the_smallest_of_several_boxes_wins() -> None:
    boxes = np.array([[0.0, 0, 2, 1], [0, 0, 4, 1]])
    assert token_map(boxes, (4, 1)).tolist() == [[0, 0, 1, 1]]


def test_nearest_is_constant_on_tokens_and_undefined_outside() -> None:
    values = np.array([[1.0, 2.0], [3.0, 4.0]])
    found = spread(values, _grid(1, 2, 2.0), (5, 3))
    assert found[:, 0].tolist()[0][:4] == [1, 1, 2, 2]
    assert found[1, 1, 2] == 4
    assert np.isnan(found[:, :, 4]).all()
    assert np.isnan(found[:, 2]).all()


def test_bilinear_meets_the_values_at_the_centres_and_is_linear_between() -> None:
    values = np.array([[0.0, 4.0, 8.0, 12.0]])
    found = spread(values, _grid(2, 2, 3.0), (6, 6), (2, 2), "bilinear")[0]
    assert found[1, 1] == 0
    assert found[1, 4] == 4
    assert found[4, 1] == 8
    assert found[1, 2] == pytest.approx(4 / 3)
    assert found[2, 1] == pytest.approx(8 / 3)
    assert found[0, 0] == 0, "constant beyond the outermost centres"


def test_a_class_token_does_not_shift_the_grid() -> None:
    boxes = np.concatenate([[NAN], _grid(2, 2, 2.0)])
    with_it = spread(np.array([[9.0, 0, 1, 2, 3]]), boxes, (4, 4), (2, 2), "bilinear")
    without = spread(np.array([[0.0, 1, 2, 3]]), boxes[1:], (4, 4), (2, 2), "bilinear")
    assert (with_it == without).all()


def test_bilinear_needs_a_grid() -> None:
    values = np.zeros((1, 3))
    with pytest.raises(InputError, match="single grid"):
        spread(values, _grid(1, 3, 2.0), (6, 2), None, "bilinear")
    with pytest.raises(InputError, match="2 x 2 tokens"):
        spread(values, _grid(1, 3, 2.0), (6, 2), (2, 2), "bilinear")
