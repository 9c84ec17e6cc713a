"""Mistral 3: as Pixtral, with squares of patches merged."""

from __future__ import annotations

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
from tiny_tiles import mistral3, pixtral_processor

import retinoscope as rs

WIDE, HIGH = picture((40, 24)), picture((20, 37), seed=1)


@pytest.fixture(scope="module")
def vlm() -> rs.VLM:
    return rs.load(model=mistral3(), processor=pixtral_processor(merge=2))


def test_family(vlm):
    assert vlm.capabilities.family == "Mistral 3"


@pytest.mark.parametrize("images", [[WIDE], [WIDE, HIGH]], ids=["one", "two"])
def test_equals_the_library(vlm, images):
    check_forward(vlm, images)
    check_generate(vlm, images)


@pytest.mark.parametrize("images", [[WIDE], [HIGH, WIDE]], ids=["one", "two"])
def test_paths_agree(vlm, images):
    assert vlm.capabilities.supports("incremental")
    check_paths(vlm, images)


def test_eager_attention():
    vlm = rs.load(model=mistral3("eager"), processor=pixtral_processor(merge=2))
    check_forward(vlm, [WIDE])
    check_rows(vlm, [WIDE])


def test_layout(vlm):
    def merged(output):
        squares = output[0].unfold(1, 2, 2).unfold(2, 2, 2)
        return squares.permute(1, 2, 0, 3, 4).flatten(2).flatten(0, 1)

    check_layout(vlm, vlm.model.model.vision_tower.patch_conv, merged, list(SIZES.values()))


def test_a_visual_token_is_a_merged_square(vlm):
    (layout,) = vlm.prompt([WIDE], QUESTION).inputs.layouts
    assert layout.grid == (3, 5)
    assert layout.boxes[6].tolist() == [8, 8, 16, 16]


def test_a_single_visual_token(vlm):
    """The library takes such an image only beside others."""
    dot = picture((5, 4))
    (alone,) = vlm.encode([dot])
    assert alone.shape == (1, vlm.d_model)
    check_forward(vlm, [dot, WIDE])
