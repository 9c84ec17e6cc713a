"""Kosmos-2: latent queries between markers, sinusoidal positions, scaled embeddings."""

from __future__ import annotations

import numpy as np
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
from tiny_query import N_QUERIES, kosmos2, kosmos2_processor

import retinoscope as rs


@pytest.fixture(scope="module")
def vlm() -> rs.VLM:
    return rs.load(model=kosmos2(), processor=kosmos2_processor())


@pytest.fixture(scope="module")
def eager() -> rs.VLM:
    return rs.load(model=kosmos2("eager"), processor=kosmos2_processor())


def oracle(images, formatted):
    return kosmos2_processor()(
        images=images[0] if images else None,
        text=formatted.removeprefix("<image>"),
        num_image_tokens=N_QUERIES,
        return_tensors="pt",
    )


def run_of(vlm, seed=0, text=QUESTION):
    return vlm.run(vlm.prompt(picture(seed=seed), text))


def test_equals_the_library(vlm):
    run = check_forward(vlm, [picture()], oracle)
    # <s>, <image>, six queries, </image>
    assert run.image.positions == tuple(range(2, 2 + N_QUERIES))
    assert run.tokens[1] == "<image>"
    assert run.tokens[2 + N_QUERIES] == "</image>"
    assert np.isnan(run.image.boxes).all()
    check_generate(vlm, [picture()], oracle)


def test_paths_agree(vlm):
    assert vlm.capabilities.supports("incremental")
    for seed in (0, 1):
        run = run_of(vlm)
        check_paths(vlm, run, conditions(run, run_of(vlm, 5), seed))
    check_rows(run_of(vlm))


def test_eager_attention(eager):
    check_forward(eager, [picture()], oracle)
    run = run_of(eager)
    check_paths(eager, run, conditions(run, run_of(eager, 5), 2))
    check_rows(run)


def test_prompts_about_one_image_share_it(vlm):
    runs = vlm.run_many(picture(), [QUESTION, "Is there a dog in this image?"])
    assert runs.shared > N_QUERIES
    alone = run_of(vlm, text="Is there a dog in this image?")
    assert torch.allclose(runs[1].logits, alone.logits, atol=1e-4)


def test_text_only(vlm):
    run = vlm.run(vlm.prompt(None, QUESTION))
    with torch.no_grad():
        wanted = vlm.model.text_model(input_ids=run.inputs.input_ids[None]).logits[0, -1]
    assert torch.allclose(run.logits, wanted, atol=1e-5)


def test_raw_grounding_prompt(vlm):
    run = vlm.run(vlm.prompt(picture(), "<image><grounding> Describe this image.", raw=True))
    spoken = [run.tokens[place].strip() for place in run.positions["question"].positions]
    assert spoken == ["<grounding>", "Describe", "this", "image."]
    given = oracle([picture()], "<image><grounding> Describe this image.")
    with torch.no_grad():
        wanted = vlm.model(**given).logits[0, -1]
    assert torch.allclose(run.logits, wanted, atol=1e-5)


def test_soft_origin_is_the_resampler_s_attention(eager):
    run = run_of(eager)
    pixels = run.inputs.pixels[0]
    found = run.soft_origin()
    _, weights = output_of(
        eager.model.image_to_text_projection.x_attn,
        lambda: eager.adapter.encode_images([pixels]),
    )
    # Keys: the class token, 49 patches, the queries themselves.
    wanted = weights[0].mean(0)
    assert wanted.shape == (N_QUERIES, 1 + 49 + N_QUERIES)
    assert torch.allclose(found.weights, wanted[:, 1:50], atol=1e-6)
    assert torch.allclose(found.elsewhere, wanted[:, 0] + wanted[:, 50:].sum(-1), atol=1e-6)


@pytest.mark.parametrize("size", SIZES.values(), ids=list(SIZES))
def test_patch_layout(vlm, size):
    adapter = vlm.adapter

    def embedded(image):
        pixels = adapter.preprocess(image)
        made = output_of(
            vlm.model.vision_model.model.embeddings.patch_embedding,
            lambda: adapter.encode_images([pixels]),
        )
        return made[0].flatten(1).T

    image = picture(size)
    check_patches(adapter.patch_layout(size, adapter.preprocess(image)), image, embedded)


def test_refusals(vlm):
    with pytest.raises(rs.errors.CapabilityError, match="one image per prompt"):
        vlm.prompt([picture(), picture(seed=1)], QUESTION)
    with pytest.raises(rs.errors.CapabilityError, match="at the beginning"):
        vlm.prompt(picture(), "Describe <image> this", raw=True)


def test_gradients(vlm):
    assert rs.tokens.by_gradient(run_of(vlm), 5, n=3, steps=50).completeness < 0.2
