"""InstructBLIP: the Q-Former reads the question too."""

from __future__ import annotations

import pytest
import torch
from checks_query import (
    QUESTION,
    SIZES,
    check_forward,
    check_generate,
    check_patches,
    check_paths,
    check_rows,
    conditions,
    output_of,
    picture,
)
from tiny_query import N_QUERIES, instructblip, instructblip_processor

import retinoscope as rs


@pytest.fixture(scope="module")
def vlm() -> rs.VLM:
    return rs.load(model=instructblip(), processor=instructblip_processor())


def oracle(images, formatted):
    return instructblip_processor()(
        images=list(images), text=formatted.removeprefix("<image>"), return_tensors="pt"
    )


def run_of(vlm, seed=0, text=QUESTION):
    return vlm.run(vlm.prompt(picture(seed=seed), text))


def test_equals_the_library(vlm):
    check_forward(vlm, [picture()], oracle)
    check_generate(vlm, [picture()], oracle)


def test_paths_agree(vlm):
    assert vlm.capabilities.supports("incremental")
    for seed in (0, 1):
        run = run_of(vlm)
        check_paths(vlm, run, conditions(run, run_of(vlm, 5), seed))
    check_rows(run_of(vlm))


def test_eager_attention():
    vlm = rs.load(model=instructblip("eager"), processor=instructblip_processor())
    check_forward(vlm, [picture()], oracle)
    check_rows(run_of(vlm))


def test_visual_tokens_depend_on_the_question(vlm):
    here, there = run_of(vlm), run_of(vlm, text="Is there a dog in this image?")
    moved = (here.image.embeddings - there.image.embeddings).norm(dim=-1)
    assert (moved > 1e-3 * here.image.embeddings.norm(dim=-1)).all()
    runs = vlm.run_many(picture(), [QUESTION, "Is there a dog in this image?"])
    assert runs.shared == 0
    assert torch.allclose(runs[1].logits, there.logits, atol=1e-5)


def test_an_image_alone_is_refused(vlm):
    with pytest.raises(rs.errors.CapabilityError, match=r"fill\.noise"):
        vlm.encode([picture()])
    with pytest.raises(rs.errors.CapabilityError, match="one image per prompt"):
        vlm.prompt([picture(), picture(seed=1)], QUESTION)
    with pytest.raises(rs.errors.CapabilityError, match="Vicuna"):
        rs.load(model=instructblip(decoder="t5"), processor=instructblip_processor())


def test_soft_origin_depends_on_the_question():
    vlm = rs.load(model=instructblip("eager"), processor=instructblip_processor())
    module = vlm.model.qformer.encoder.layer[2].crossattention.attention
    found = []
    for text in (QUESTION, "Is there a dog in this image?"):
        run = run_of(vlm, text=text)
        pixels = run.inputs.pixels[0]
        origin = run.soft_origin()
        _, weights = output_of(module, lambda pixels=pixels: vlm.adapter.encode_images([pixels]))
        assert origin.weights.shape == (N_QUERIES, len(origin.layout))
        assert torch.allclose(origin.weights, weights[0].mean(0)[:, 1:], atol=1e-6)
        found.append(origin.weights)
    assert not torch.allclose(*found, atol=1e-4)


@pytest.mark.parametrize("size", SIZES.values(), ids=list(SIZES))
def test_patch_layout(vlm, size):
    def embedded(image):
        pixels = vlm.prompt(image, QUESTION).inputs.pixels[0]
        made = output_of(
            vlm.model.vision_model.embeddings.patch_embedding,
            lambda: vlm.adapter.encode_images([pixels]),
        )
        return made[0].flatten(1).T

    image = picture(size)
    layout = vlm.adapter.patch_layout(size, vlm.adapter.preprocess(image))
    check_patches(layout, image, embedded)
