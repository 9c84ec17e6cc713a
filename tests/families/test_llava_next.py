"""LLaVA-NeXT: the whole image, then tiles without their padding, a vector behind each row."""

from __future__ import annotations

import numpy as np
import pytest
import torch
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
from tiny_llava import llava_next, llava_next_processor

import retinoscope as rs

WIDE, TALL = picture((70, 30)), picture((20, 64), seed=1)


@pytest.fixture(scope="module")
def vlm() -> rs.VLM:
    return rs.load(model=llava_next(), processor=llava_next_processor())


@pytest.mark.parametrize("images", [[WIDE], [WIDE, TALL]], ids=["one", "two"])
def test_equals_the_library(vlm, images):
    check_forward(vlm, images)
    check_generate(vlm, images)


@pytest.mark.parametrize("size", [*SIZES.values(), (31, 97), (2, 1), (97, 3), (4, 900)])
def test_equals_the_library_at_any_size(vlm, size):
    check_forward(vlm, [picture(size)])


@pytest.mark.parametrize("images", [[TALL], [WIDE, TALL]], ids=["one", "two"])
def test_paths_agree(vlm, images):
    assert vlm.capabilities.supports("incremental")
    check_paths(vlm, images)


def test_eager_attention():
    vlm = rs.load(model=llava_next("eager"), processor=llava_next_processor())
    check_forward(vlm, [TALL])
    check_rows(vlm, [TALL])


def test_attention_rows(vlm):
    check_rows(vlm, [WIDE])


def packed(vlm: rs.VLM, size: tuple[int, int]):
    """The model's own way from patches to visual tokens; what ends a row is zero."""

    def patches(output: torch.Tensor) -> torch.Tensor:
        features = output.flatten(2).transpose(1, 2)
        sizes = torch.tensor([[size[1], size[0]]])
        newline = torch.zeros(features.shape[-1])
        (done,), _ = vlm.model.model.pack_image_features(
            [features], sizes, vision_feature_select_strategy="default", image_newline=newline
        )
        return done

    return patches


@pytest.mark.parametrize("size", [*SIZES.values(), (31, 97), (97, 3)])
def test_layout(vlm, size):
    module = vlm.model.model.vision_tower.embeddings.patch_embedding
    check_layout(vlm, module, packed(vlm, size), [size])


# The model cuts off what fills no whole column or row of features: 2 of 18 columns of pixels, and
# all 3 rows of the very long image.
SHARES = {"square": 1, "landscape": 1, "portrait": 16 / 18, "tiny": 1, "very long": 0}


@pytest.mark.parametrize("name", SIZES)
def test_frames_and_ends_of_rows(vlm, name):
    size = SIZES[name]
    prompt = vlm.prompt([picture(size)], QUESTION)
    (layout,) = prompt.inputs.layouts
    assert layout.grid is None
    for tile, share in ((0, 1), (1, SHARES[name])):
        boxes = layout.boxes[(layout.tiles == tile) & ~layout.unplaced]
        area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).sum()
        assert np.isclose(area, share * size[0] * size[1])
    # The vectors that the model adds are where the layout says, and nowhere else.
    (features,) = vlm.adapter.encode_images(prompt.inputs.pixels)
    newline = (features == vlm.model.model.image_newline).all(-1).numpy()
    assert newline.any() == (SHARES[name] > 0)
    np.testing.assert_array_equal(newline, layout.rows < 0)
    np.testing.assert_array_equal(newline, layout.unplaced)


def test_a_set_grows_across_tiles_but_not_into_the_whole_image(vlm):
    run = vlm.run(vlm.prompt([picture((32, 32))], QUESTION))
    layout = run.image.layout
    middle = np.flatnonzero((layout.tiles == 1) & (layout.rows == 3) & (layout.columns == 3))
    grown = run.image.at(middle).grow(1)
    chosen = [run.image.positions.index(position) for position in grown]
    assert len(chosen) == 9
    assert set(layout.tiles[chosen]) == {1}
    boxes = layout.boxes[chosen]
    assert [*boxes[:, :2].min(0), *boxes[:, 2:].max(0)] == [8, 8, 20, 20]


@pytest.mark.parametrize(
    ("model", "processor", "why"),
    [
        ({}, {"image_grid_pinpoints": [[16, 32], [32, 16]]}, "another model"),
        ({}, {"size": {"shortest_edge": 20}}, "one square"),
        ({}, {"size": {"height": 8, "width": 8}, "crop_size": None}, "another model"),
        ({"vision_feature_select_strategy": "full"}, {}, "class token"),
        (
            {"image_grid_pinpoints": [[24, 32]]},
            {"image_grid_pinpoints": [[24, 32]]},
            "whole tiles",
        ),
    ],
    ids=["resolutions", "two sizes", "tile", "class token", "part of a tile"],
)
def test_geometry_that_is_not_known_is_refused(model, processor, why):
    with pytest.raises(rs.errors.CapabilityError, match=why):
        rs.load(model=llava_next(**model), processor=llava_next_processor(**processor))


def test_prompts_about_one_image_share_it(vlm):
    runs = vlm.run_many([WIDE], [QUESTION, "Is there a dog in this image?"])
    alone = vlm.run(vlm.prompt([WIDE], "Is there a dog in this image?"))
    assert torch.allclose(runs[1].logits, alone.logits, atol=1e-4)


def test_gradients(vlm):
    run = vlm.run(vlm.prompt([picture((32, 32))], QUESTION))
    assert rs.tokens.by_gradient(run, 5, n=3, steps=30).completeness < 0.2
