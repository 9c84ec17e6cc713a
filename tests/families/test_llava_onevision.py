"""LLaVA-OneVision: tiles whose features are resized where there are too many."""

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
from tiny_llava import llava_onevision, llava_onevision_processor

import retinoscope as rs

LARGE, SMALL = picture((80, 60)), picture((12, 20), seed=1)


@pytest.fixture(scope="module")
def vlm() -> rs.VLM:
    return rs.load(model=llava_onevision(), processor=llava_onevision_processor())


@pytest.mark.parametrize("images", [[LARGE], [SMALL, LARGE]], ids=["one", "two"])
def test_equals_the_library(vlm, images):
    check_forward(vlm, images)
    check_generate(vlm, images)


@pytest.mark.parametrize("size", [*SIZES.values(), (31, 97), (2, 1), (97, 3), (4, 900)])
def test_equals_the_library_at_any_size(vlm, size):
    check_forward(vlm, [picture(size)])


@pytest.mark.parametrize("images", [[LARGE], [SMALL, LARGE]], ids=["one", "two"])
def test_paths_agree(vlm, images):
    assert vlm.capabilities.supports("incremental")
    check_paths(vlm, images)


def test_eager_attention():
    vlm = rs.load(model=llava_onevision("eager"), processor=llava_onevision_processor())
    check_forward(vlm, [SMALL])
    check_rows(vlm, [SMALL])


def test_attention_rows(vlm):
    check_rows(vlm, [LARGE])


def packed(vlm: rs.VLM, size: tuple[int, int]):
    """The model's own way from patches to visual tokens; what ends a row is zero."""

    def patches(output: torch.Tensor) -> torch.Tensor:
        features = output.flatten(2).transpose(1, 2)
        sizes = torch.tensor([[size[1], size[0]]])
        newline = torch.zeros(features.shape[-1])
        (done,), _ = vlm.model.model.pack_image_features(
            [features], sizes, newline, vlm.model.config.vision_aspect_ratio
        )
        return done

    return patches


@pytest.mark.parametrize("size", [*SIZES.values(), (31, 97), (97, 3)])
def test_layout(vlm, size):
    module = vlm.model.model.vision_tower.embeddings.patch_embedding
    # The ends of tiles are in no patch.
    check_layout(vlm, module, packed(vlm, size), [size], cropped=True)


def test_features_are_resized_where_there_are_too_many(vlm):
    """48 x 48 pixels are 3 x 3 tiles, 12 x 12 features, made 8 x 8."""
    (layout,) = vlm.prompt([picture((48, 48))], QUESTION).inputs.layouts
    assert layout.rows[layout.tiles == 1].max() == layout.columns[layout.tiles == 1].max() == 7
    boxes = layout.boxes[(layout.tiles == 1) & ~layout.unplaced].reshape(8, 8, 4)
    # A cell is one and a half patches of 4 pixels; tiles begin every 18 pixels of 54.
    edges = [(0, 6), (6, 12), (12, 20), (20, 26), (26, 32)]
    found = [(float(x0), float(x1)) for x0, x1 in boxes[0, :5, [0, 2]].T]
    assert np.allclose(np.array(found) * 54 / 48, edges), found


def test_features_that_fit_are_left_as_they_are(vlm):
    (layout,) = vlm.prompt([picture((36, 36))], QUESTION).inputs.layouts
    placed = (layout.tiles == 1) & ~layout.unplaced
    assert placed.sum() == 64
    # The last 2 pixels of each tile are in no patch.
    first = layout.boxes[placed][:8]
    assert first[:, 0].tolist() == [0, 4, 8, 12, 18, 22, 26, 30]
    assert first[:, 2].tolist() == [4, 8, 12, 16, 22, 26, 30, 34]


def test_ends_of_rows_are_the_model_s(vlm):
    for image in (LARGE, SMALL):
        prompt = vlm.prompt([image], QUESTION)
        (features,) = vlm.adapter.encode_images(prompt.inputs.pixels)
        newline = (features == vlm.model.model.image_newline).all(-1).numpy()
        np.testing.assert_array_equal(newline, prompt.inputs.layouts[0].unplaced)


def test_another_aspect_ratio_is_refused():
    with pytest.raises(rs.errors.CapabilityError, match="anyres_max_9"):
        rs.load(
            model=llava_onevision(vision_aspect_ratio="square"),
            processor=llava_onevision_processor("square"),
        )


def test_an_image_that_the_model_fails_on_is_refused():
    """2 rows of 40 features, of which the model would make less than one row."""
    ratio = "anyres_max_1"
    resolutions = [[18, 180]]
    vlm = rs.load(
        model=llava_onevision(vision_aspect_ratio=ratio, image_grid_pinpoints=resolutions),
        processor=llava_onevision_processor(ratio, image_grid_pinpoints=resolutions),
    )
    check_forward(vlm, [picture((180, 18))])
    with pytest.raises(rs.errors.InputError, match="crop it"):
        vlm.prompt([picture((600, 20))], QUESTION)


def test_prompts_about_one_image_share_it(vlm):
    runs = vlm.run_many([LARGE], [QUESTION, "Is there a dog in this image?"])
    alone = vlm.run(vlm.prompt([LARGE], "Is there a dog in this image?"))
    assert torch.allclose(runs[1].logits, alone.logits, atol=1e-4)


def test_gradients(vlm):
    run = vlm.run(vlm.prompt([picture((32, 32))], QUESTION))
    assert rs.tokens.by_gradient(run, 5, n=3, steps=30).completeness < 0.2
