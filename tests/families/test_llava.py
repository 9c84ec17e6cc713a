"""LLaVA-1.5: a vision tower of a fixed image size, with or without a class token."""

from __future__ import annotations

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
from tiny_llava import llava, llava_processor

import retinoscope as rs

PAIR = [picture((30, 70)), picture((64, 20), seed=1)]
STRETCHED = {"size": {"height": 28, "width": 28}, "do_center_crop": False}


@pytest.fixture(scope="module")
def vlm() -> rs.VLM:
    return rs.load(model=llava(), processor=llava_processor())


@pytest.mark.parametrize("images", [[picture()], PAIR], ids=["one", "two"])
def test_equals_the_library(vlm, images):
    check_forward(vlm, images)
    check_generate(vlm, images)


@pytest.mark.parametrize("images", [[picture()], PAIR], ids=["one", "two"])
def test_paths_agree(vlm, images):
    assert vlm.capabilities.supports("incremental")
    check_paths(vlm, images)


def test_eager_attention():
    vlm = rs.load(model=llava("eager"), processor=llava_processor())
    check_forward(vlm, [picture()])
    check_rows(vlm, [picture()])
    check_paths(vlm, [picture()])


def test_attention_rows(vlm):
    check_rows(vlm, [picture()])


@pytest.mark.parametrize("cropped", [True, False])
def test_layout(cropped):
    processor = llava_processor(**({} if cropped else STRETCHED))
    vlm = rs.load(model=llava(), processor=processor, check=False)
    check_layout(
        vlm,
        vlm.model.model.vision_tower.embeddings.patch_embedding,
        lambda output: output[0].flatten(1).T,
        list(SIZES.values()),
        cropped=cropped,
    )


@pytest.mark.parametrize("tower", ["clip", "siglip"])
def test_all_features_of_the_tower(tower):
    leading = int(tower == "clip")
    model = llava(tower=tower, vision_feature_select_strategy="full")
    vlm = rs.load(model=model, processor=llava_processor(leading, "full"))
    run = check_forward(vlm, [picture()])
    assert len(run.image) == 49 + leading
    assert run.image.layout.unplaced.sum() == leading


def test_a_lost_patch_is_refused():
    vlm = rs.load(model=llava(tower="siglip"), processor=llava_processor(0))
    with pytest.raises(rs.errors.CapabilityError, match="no class token"):
        vlm.prompt([picture()], QUESTION)


def test_a_processor_that_cannot_count_is_no_hindrance(vlm):
    """Saved by an older version of the library: neither patch size nor class token."""
    processor = llava_processor()
    processor.patch_size = None
    processor.num_additional_image_tokens = 0
    old = rs.load(model=vlm.model, processor=processor)
    found = old.run(old.prompt(PAIR, QUESTION))
    assert torch.equal(found.logits, vlm.run(vlm.prompt(PAIR, QUESTION)).logits)


def test_a_processor_of_another_model_is_refused():
    vlm = rs.load(model=llava(image_token_index=5), processor=llava_processor())
    with pytest.raises(rs.errors.CapabilityError, match="another model"):
        vlm.prompt(PAIR, QUESTION)


def test_text_only(vlm):
    run = vlm.run(vlm.prompt(None, QUESTION))
    with torch.no_grad():
        wanted = vlm.model(input_ids=run.inputs.input_ids[None]).logits[0, -1]
    assert torch.allclose(run.logits, wanted, atol=1e-5)


def test_gradients(vlm):
    run = vlm.run(vlm.prompt([picture((32, 32))], QUESTION))
    assert rs.tokens.by_gradient(run, 5, n=3, steps=30).completeness < 0.2
