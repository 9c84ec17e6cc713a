"""Aria: learned queries, padded images, a mixture of experts."""

from __future__ import annotations

import numpy as np
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
from tiny_more import ARIA_QUERIES, aria, aria_processor

import retinoscope as rs

PAIR = [picture((30, 70)), picture((64, 20), seed=1)]


@pytest.fixture(scope="module")
def vlm() -> rs.VLM:
    return rs.load(model=aria(), processor=aria_processor())


@pytest.mark.parametrize("images", [[picture()], PAIR], ids=["one", "two"])
def test_equals_the_library(vlm, images):
    run = check_forward(vlm, images)
    check_generate(vlm, images)
    for image in run.images:
        assert len(image) == ARIA_QUERIES
        assert np.isnan(image.boxes).all()
        assert image.grid is None


@pytest.mark.parametrize("images", [[picture()], PAIR], ids=["one", "two"])
def test_paths_agree(vlm, images):
    assert vlm.capabilities.supports("incremental")
    check_paths(vlm, images)


def test_eager_attention():
    vlm = rs.load(model=aria("eager"), processor=aria_processor())
    check_forward(vlm, [picture()])
    check_rows(vlm, [picture()])
    check_paths(vlm, [picture()])


def test_attention_rows(vlm):
    check_rows(vlm, [picture()])


@pytest.mark.parametrize("size", SIZES.values(), ids=list(SIZES))
def test_patch_layout(vlm, size):
    adapter = vlm.adapter
    image = picture(size)
    layout = adapter.patch_layout(size, adapter.preprocess(image))

    def embedded(image):
        pixels = adapter.preprocess(image)
        module = vlm.model.model.vision_tower.embeddings.patch_embedding
        return output_of(module, lambda: adapter.encode_images([pixels]))[0].flatten(1).T

    check_patches(layout, image, embedded)


def test_soft_origin_is_the_cross_attention(vlm):
    run = vlm.run(vlm.prompt([picture((70, 44))], QUESTION))
    pixels = run.inputs.pixels[0]
    found = run.soft_origin()
    reader = vlm.model.model.multi_modal_projector.cross_attn.multihead_attn
    plain = reader.forward
    reader.forward = lambda *args, **options: plain(*args, **{**options, "need_weights": True})
    try:
        _, weights = output_of(reader, lambda: vlm.adapter.encode_images([pixels]))
    finally:
        del reader.forward
    assert found.weights.shape == (ARIA_QUERIES, 49) == (ARIA_QUERIES, len(found.layout))
    assert torch.allclose(found.weights, weights[0], atol=1e-6)
    # Nobody looks at the padding.
    assert found.layout.unplaced.any()
    assert found.weights[:, torch.from_numpy(found.layout.unplaced)].abs().max() == 0
    assert found.elsewhere.abs().max() < 1e-5


def test_text_only(vlm):
    run = vlm.run(vlm.prompt(None, QUESTION))
    with torch.no_grad():
        wanted = vlm.model(input_ids=run.inputs.input_ids[None]).logits[0, -1]
    assert torch.allclose(run.logits, wanted, atol=1e-5)


def test_crops_are_refused():
    processor = aria_processor(split_resolutions=[[980, 1960], [1960, 980]])
    if not hasattr(processor, "images_kwargs"):
        pytest.skip("older versions of the library never split an image")
    processor.images_kwargs = {**processor.images_kwargs, "split_image": True}
    vlm = rs.load(model=aria(), processor=processor)
    with pytest.raises(rs.CapabilityError, match="split_image"):
        vlm.prompt([picture()], QUESTION)


def test_a_processor_of_another_model_is_refused():
    model = aria()
    model.config.projector_patch_to_query_dict = {4900: 256}
    other = rs.load(model=model, processor=aria_processor())
    with pytest.raises(rs.CapabilityError, match="belongs to another model"):
        other.prompt([picture()], QUESTION)


def test_gradients_are_refused(vlm):
    run = vlm.run(vlm.prompt([picture((32, 32))], QUESTION))
    with pytest.raises(rs.CapabilityError, match="chooses its experts"):
        rs.tokens.by_gradient(run, 5, n=3, steps=50)
