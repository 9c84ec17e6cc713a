"""InternVL: tiles in the shape nearest to the image's, and a thumbnail."""

from __future__ import annotations

import numpy as np
import pytest
from checks import (
    QUESTION,
    SIZES,
    check_forward,
    check_generate,
    check_layout,
    check_paths,
    check_rows,
    picture,
)
from tiny_tiles import internvl, internvl_processor

import retinoscope as rs

LARGE, LONG, SQUARE = picture((60, 40)), picture((20, 70), seed=1), picture((10, 10), seed=2)


@pytest.fixture(scope="module")
def vlm() -> rs.VLM:
    return rs.load(model=internvl(), processor=internvl_processor())


def folded(output):
    """Squares of 2 x 2 patches of each tile, tile by tile."""
    squares = output.unfold(2, 2, 2).unfold(3, 2, 2)
    return squares.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2)


@pytest.mark.parametrize(
    "images", [[LARGE], [SQUARE], [LARGE, SQUARE, LONG]], ids=["tiles", "whole", "three"]
)
def test_equals_the_library(vlm, images):
    check_forward(vlm, images)
    check_generate(vlm, images)


@pytest.mark.parametrize("images", [[LARGE], [SQUARE, LONG]], ids=["one", "two"])
def test_paths_agree(vlm, images):
    assert vlm.capabilities.supports("incremental")
    check_paths(vlm, images)


def test_attention_rows(vlm):
    check_rows(vlm, [LONG])


def test_eager_attention():
    vlm = rs.load(model=internvl("eager"), processor=internvl_processor())
    check_forward(vlm, [LARGE])
    check_paths(vlm, [SQUARE])


@pytest.mark.parametrize("name", list(SIZES))
def test_layout(vlm, name):
    module = vlm.model.model.vision_tower.embeddings.patch_embeddings.projection
    check_layout(vlm, module, folded, [SIZES[name]])


@pytest.mark.parametrize(
    ("image", "rows", "columns"), [(LARGE, 2, 3), (LONG, 4, 1), (SQUARE, 1, 1)]
)
def test_tiles_and_thumbnail(vlm, image, rows, columns):
    (layout,) = vlm.prompt([image], QUESTION).inputs.layouts
    n_tiles = rows * columns
    assert layout.tiles.max() == (n_tiles if n_tiles > 1 else 0)
    assert (layout.grid is None) == (n_tiles > 1)
    width, height = image.size
    for number in range(n_tiles):
        row, column = divmod(number, columns)
        boxes = layout.boxes[layout.tiles == number]
        corner = [column * width / columns, row * height / rows]
        assert np.allclose(boxes.min(0)[:2], corner)
        assert np.allclose(boxes.max(0)[2:], np.add(corner, [width / columns, height / rows]))


def test_encoding_together_is_encoding_alone(vlm):
    together = vlm.encode([LARGE, SQUARE])
    for image, found in zip([LARGE, SQUARE], together, strict=True):
        (alone,) = vlm.encode([image])
        assert found.shape == alone.shape
        assert float((found - alone).abs().max()) <= 1e-4 * float(alone.abs().max())


def test_tiles_that_are_not_square_are_refused():
    processor = internvl_processor(size={"height": 16, "width": 32})
    with pytest.raises(rs.errors.CapabilityError, match="square"):
        rs.load(model=internvl(), processor=processor)


def test_a_processor_of_another_tile_size_is_refused():
    vlm = rs.load(model=internvl(), processor=internvl_processor(size={"height": 8, "width": 8}))
    with pytest.raises(rs.errors.CapabilityError, match="another model"):
        vlm.prompt([LARGE], QUESTION)
