"""Signs of scenes as boards, and the windows that are cut out of images."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

import retinoscope as rs
from retinoscope.data.scenes import SIGN_WORDS, SceneOptions
from retinoscope.interfaces import WINDOW, crop_boards
from retinoscope.recipes.reading._boards import SIGNS, draw_boards


def test_a_window_of_the_readers_shape_is_cut_out_as_it_is() -> None:
    pixels = torch.rand(2, 3, 40, 80) * 2 - 1
    columns, rows = WINDOW
    centers = torch.tensor([[columns / 2, rows / 2], [columns / 2 + 9, rows / 2 + 5]])
    cut = crop_boards(pixels, centers, (rows, columns))
    torch.testing.assert_close(cut[0], pixels[0, :, :rows, :columns], atol=1e-4, rtol=0)
    moved = pixels[1, :, 5 : 5 + rows, 9 : 9 + columns]
    torch.testing.assert_close(cut[1], moved, atol=1e-4, rtol=0)


def test_beyond_the_border_the_last_pixels_are_repeated() -> None:
    pixels = torch.rand(1, 3, 40, 80) * 2 - 1
    columns, rows = WINDOW
    cut = crop_boards(pixels, torch.zeros(1, 2), (rows, columns))
    padded = F.pad(pixels, (columns // 2, 0, rows // 2, 0), "replicate")
    torch.testing.assert_close(cut, padded[..., :rows, :columns], atol=1e-4, rtol=0)


def test_signs_lie_in_their_windows_and_letters_between_their_edges(tmp_path) -> None:
    boards = draw_boards(tmp_path, [(6, SIGNS)], 5, lambda *_: None)
    samples = rs.data.Scenes(6, 5, SceneOptions(signs=1.0))
    assert boards.words == [sample.signs[0].word for sample in samples]
    assert set(boards.words) <= set(SIGN_WORDS)
    for image, (left, right) in zip(boards.images, boards.edges, strict=True):
        # A letter is 10 pixels of a window of 64 wide.
        assert np.isclose(right - left, 10 / WINDOW[0])
        inside = image[:, round(left * 96) : round(right * 96)].astype(float).std()
        assert inside > 30
    again = draw_boards(tmp_path / "b", [(6, SIGNS)], 5, lambda *_: None)
    assert np.array_equal(again.images, boards.images)
