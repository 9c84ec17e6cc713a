"""FastVLM: a convolutional vision tower. Its own needs timm; another stands in where it is not."""

from __future__ import annotations

import pytest
import torch
from checks import (
    QUESTION,
    SIZES,
    check_forward,
    check_generate,
    check_paths,
    check_rows,
    picture,
)
from checks_query import check_patches, output_of
from tiny_more import fast_vlm, fast_vlm_processor

import retinoscope as rs

PAIR = [picture((30, 70)), picture((64, 20), seed=1)]


@pytest.fixture(scope="module")
def vlm() -> rs.VLM:
    return rs.load(model=fast_vlm(), processor=fast_vlm_processor())


@pytest.mark.parametrize("images", [[picture()], PAIR], ids=["one", "two"])
def test_equals_the_library(vlm, images):
    check_forward(vlm, images)
    check_generate(vlm, images)


@pytest.mark.parametrize("images", [[picture()], PAIR], ids=["one", "two"])
def test_paths_agree(vlm, images):
    assert vlm.capabilities.supports("incremental")
    check_paths(vlm, images)


def test_eager_attention():
    vlm = rs.load(model=fast_vlm("eager"), processor=fast_vlm_processor())
    check_forward(vlm, [picture()])
    check_paths(vlm, [picture()])


def test_attention_rows(vlm):
    check_rows(vlm, [picture()])


@pytest.mark.parametrize("crop", [True, False])
@pytest.mark.parametrize("size", SIZES.values(), ids=list(SIZES))
def test_layout(size, crop):
    whole = {"do_center_crop": False, "size": {"height": 48, "width": 48}}
    vlm = rs.load(model=fast_vlm(), processor=fast_vlm_processor(**({} if crop else whole)))
    image = picture(size)
    (layout,) = vlm.prompt([image], QUESTION).inputs.layouts
    assert layout.grid == (6, 6)

    def squares(image):
        pixels = vlm.adapter.preprocess(image)
        module = vlm.model.model.vision_tower.embeddings.patch_embeddings
        output = output_of(module, lambda: vlm.adapter.encode_images([pixels]))[0]
        found = output.unfold(1, 2, 2).unfold(2, 2, 2)
        return found.permute(1, 2, 0, 3, 4).flatten(2).flatten(0, 1)

    check_patches(layout, image, squares)


def test_the_tower_of_the_released_models():
    pytest.importorskip("timm")
    from transformers import TimmWrapperConfig

    tower = TimmWrapperConfig(
        architecture="fastvit_mci0", model_args={"inference_mode": False}, hidden_size=1024
    )
    settings = {"size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}}
    processor = fast_vlm_processor(**settings)
    processor.patch_size = 32
    vlm = rs.load(model=fast_vlm(vision=tower), processor=processor)
    check_forward(vlm, [picture()])


def test_text_only(vlm):
    run = vlm.run(vlm.prompt(None, QUESTION))
    with torch.no_grad():
        wanted = vlm.model(input_ids=run.inputs.input_ids[None]).logits[0, -1]
    assert torch.allclose(run.logits, wanted, atol=1e-5)


def test_refusals():
    processor = fast_vlm_processor()
    processor.patch_size = None
    with pytest.raises(rs.CapabilityError, match="no patch_size"):
        rs.load(model=fast_vlm(), processor=processor)
    processor.patch_size = 16
    other = rs.load(model=fast_vlm(), processor=processor)
    with pytest.raises(rs.InputError, match="belongs to another model"):
        other.run(other.prompt([picture()], QUESTION))


def test_gradients(vlm):
    run = vlm.run(vlm.prompt([picture((32, 32))], QUESTION))
    assert rs.tokens.by_gradient(run, 5, n=3, steps=50).completeness < 0.2
