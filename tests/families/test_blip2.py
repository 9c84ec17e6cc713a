"""BLIP-2: learned queries before the text, an OPT decoder with learned positions."""

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
from tiny_query import N_QUERIES, blip2, blip2_processor

import retinoscope as rs


@pytest.fixture(scope="module")
def vlm() -> rs.VLM:
    return rs.load(model=blip2(), processor=blip2_processor())


@pytest.fixture(scope="module")
def eager() -> rs.VLM:
    return rs.load(model=blip2("eager"), processor=blip2_processor())


def oracle(images, formatted):
    return blip2_processor()(
        images=list(images), text=formatted.removeprefix("<image>"), return_tensors="pt"
    )


def run_of(vlm, seed=0, text=QUESTION):
    return vlm.run(vlm.prompt(picture(seed=seed), text))


def test_equals_the_library(vlm):
    run = check_forward(vlm, [picture()], oracle)
    assert run.image.positions == tuple(range(N_QUERIES))
    assert run.image.grid is None
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


def test_text_only_and_prefill(vlm):
    run = vlm.run(vlm.prompt(None, QUESTION, prefill="It is"))
    assert "".join(run.tokens).endswith("Answer: It is")
    with torch.no_grad():
        wanted = vlm.model.language_model(input_ids=run.inputs.input_ids[None]).logits[0, -1]
    assert torch.allclose(run.logits, wanted, atol=1e-5)


def test_raw_prompts(vlm):
    run = vlm.run(vlm.prompt(picture(), "<image>Describe this image.", raw=True))
    assert [run.tokens[place] for place in run.positions["question"].positions] == [
        " Describe",
        " this",
        " image.",
    ]
    with pytest.raises(rs.errors.CapabilityError, match="at the beginning"):
        vlm.prompt(picture(), "Describe <image> this", raw=True)
    with pytest.raises(rs.errors.InputError, match="expected one <image>"):
        vlm.prompt(picture(), "Describe this image.", raw=True)
    with pytest.raises(rs.errors.InputError, match="without <image>"):
        vlm.prompt(picture(), "What is <image>?")


def test_soft_origin_is_the_last_cross_attention(eager):
    run = run_of(eager)
    adapter = eager.adapter
    pixels = run.inputs.pixels[0]
    found = run.soft_origin()
    layers = eager.model.qformer.encoder.layer
    # Blocks 0 and 2 of four read the image.
    assert [layer.has_cross_attention for layer in layers] == [True, False, True, False]
    _, weights = output_of(
        layers[2].crossattention.attention, lambda: adapter.encode_images([pixels])
    )
    wanted = weights[0].mean(0)
    assert found.weights.shape == (N_QUERIES, 49) == (N_QUERIES, len(found.layout))
    assert torch.allclose(found.weights, wanted[:, 1:], atol=1e-6)
    assert torch.allclose(found.elsewhere, wanted[:, 0], atol=1e-6)
    assert not found.layout.unplaced.any()


@pytest.mark.parametrize("size", SIZES.values(), ids=list(SIZES))
def test_patch_layout(vlm, size):
    adapter = vlm.adapter

    def embedded(image):
        pixels = adapter.preprocess(image)
        made = output_of(
            vlm.model.vision_model.embeddings.patch_embedding,
            lambda: adapter.encode_images([pixels]),
        )
        return made[0].flatten(1).T

    image = picture(size)
    check_patches(adapter.patch_layout(size, adapter.preprocess(image)), image, embedded)


def test_refusals(vlm):
    with pytest.raises(rs.errors.CapabilityError, match="one image per prompt"):
        vlm.prompt([picture(), picture(seed=1)], QUESTION)
    with pytest.raises(rs.errors.CapabilityError, match="encoder-decoder"):
        rs.load(model=blip2(decoder="t5"), processor=blip2_processor())
    run = run_of(vlm)
    assert not len(run.image.covering((0, 0, 60, 40)))
    with pytest.raises(rs.errors.InputError, match="rows are not known"):
        run.image.row(0)


def test_a_processor_of_another_model_is_refused(vlm):
    processor = blip2_processor()
    processor.num_query_tokens = N_QUERIES + 1
    other = rs.load(model=vlm.model, processor=processor)
    with pytest.raises(rs.errors.CapabilityError, match="belongs to another model"):
        other.prompt(picture(), QUESTION)


def test_gradients_and_means(vlm):
    run = run_of(vlm)
    assert rs.tokens.by_gradient(run, 5, n=3, steps=50).completeness < 0.2
    mean = vlm.encode([picture(), picture(seed=1)])
    assert [part.shape for part in mean] == [(N_QUERIES, vlm.d_model)] * 2
