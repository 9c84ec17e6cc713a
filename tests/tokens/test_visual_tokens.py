"""From masks, boxes and segmentations to visual tokens."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import retinoscope as rs
from retinoscope.engine import Run
from retinoscope.tokens import region_cover


@pytest.fixture(scope="module")
def run(tiny: rs.VLM, noise_image: Callable[..., Image.Image]) -> Run:
    """7 x 7 tokens of 8 pixels."""
    return tiny.run(tiny.prompt(noise_image(56, 56), "Describe this image."))


def _mask(y: slice, x: slice) -> np.ndarray:
    mask = np.zeros((56, 56), dtype=bool)
    mask[y, x] = True
    return mask


def test_a_mask_and_its_box_and_its_polygon_agree(run: Run) -> None:
    wanted = [1 * 7 + 2, 1 * 7 + 3, 2 * 7 + 2, 2 * 7 + 3]
    mask = _mask(slice(8, 24), slice(16, 32))
    polygon = [[16, 8, 32, 8, 32, 24, 16, 24]]
    counts = np.diff(np.flatnonzero(np.diff(np.pad(mask.ravel("F").astype(int), 1))), prepend=0)
    runs = {"size": [56, 56], "counts": [*counts.tolist(), 56 * 56 - int(counts.sum())]}
    for region in (mask, polygon, runs, (16, 8, 32, 24), torch.from_numpy(mask), mask.astype("u1")):
        found = run.image.covering(region)
        assert [run.image.positions.index(p) for p in found] == wanted


def test_touching_a_box_is_no_overlap(run: Run) -> None:
    assert len(run.image.covering(_mask(slice(8, 16), slice(8, 16)))) == 1
    assert len(run.image.covering(_mask(slice(8, 16), slice(8, 17)))) == 2


def test_min_cover(run: Run) -> None:
    mask = _mask(slice(0, 8), slice(0, 12))
    assert len(run.image.covering(mask)) == 2
    assert len(run.image.covering(mask, min_cover=0.5)) == 2
    assert len(run.image.covering(mask, min_cover=0.51)) == 1
    with pytest.raises(rs.InputError, match="min_cover"):
        run.image.covering(mask, min_cover=2)


def test_refused_regions(run: Run) -> None:
    cases = [
        (np.zeros((56, 56), bool), "empty"),
        (np.ones((28, 56), bool), "56x56 .* got 56x28"),
        (np.ones((56, 56, 3), bool), "height, width"),
        (np.arange(56 * 56).reshape(56, 56), "bool mask"),
        ((60, 60, 70, 70), "meets the image"),
        ((20, 20, 10, 30), "meets the image"),
        ({"size": [28, 28], "counts": [784]}, "size"),
        ("polygon", "expected"),
    ]
    for region, match in cases:
        with pytest.raises(rs.InputError, match=match) as error:
            run.image.covering(region)  # type: ignore[arg-type]
        assert "\n" not in str(error.value)


def test_an_object_outside_the_crop_has_no_tokens(
    tiny: rs.VLM, noise_image: Callable[..., Image.Image]
) -> None:
    run = tiny.run(tiny.prompt(noise_image(56, 200), "Describe this image."))
    mask = np.zeros((200, 56), dtype=bool)
    mask[:40] = True
    assert len(run.image.covering(mask)) == 0


@settings(max_examples=60)
@given(
    st.lists(st.floats(0, 1), min_size=4, max_size=4),
    st.integers(0, 2**32 - 1),
)
def test_cover_is_the_share_of_area(corners: list[float], seed: int) -> None:
    """Against counting on a finer raster."""
    rng = np.random.default_rng(seed)
    mask = rng.random((9, 7)) < 0.5
    mask[4, 3] = True
    x0, x1 = sorted(round(value * 7 * 16) / 16 for value in corners[:2])
    y0, y1 = sorted(round(value * 9 * 16) / 16 for value in corners[2:])
    if x0 == x1 or y0 == y1:
        return
    fine = np.kron(mask, np.ones((16, 16)))
    inside = fine[int(y0 * 16) : int(y1 * 16), int(x0 * 16) : int(x1 * 16)]
    (share,) = region_cover(mask, (7, 9), np.array([[x0, y0, x1, y1]]))
    assert share == pytest.approx(inside.mean(), abs=1e-9)


def test_rows_and_indices(run: Run) -> None:
    image = run.image
    assert image.row(-1) == image.at(range(42, 49))
    assert image.rows([0, 2]) == image.at([*range(7), *range(14, 21)])
    assert len(image) == 49 == len(image.tokens)
    assert image.embeddings.shape == (49, 32)
    assert torch.equal(image.embeddings, run.embeddings[list(image.positions)])
    with pytest.raises(rs.InputError, match="rows from -7 to 6"):
        image.row(7)
    with pytest.raises(rs.InputError, match="indices from 0 to 48"):
        image.at([49])
