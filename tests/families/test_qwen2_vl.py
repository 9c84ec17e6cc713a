"""Qwen2-VL: dynamic resolution, merged patches, rotary positions on three axes."""

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
    oracle,
    picture,
)
from tiny_rotary import qwen2_vl, qwen_processor

import retinoscope as rs

PAIR = [picture((30, 70)), picture((64, 20), seed=1)]


@pytest.fixture(scope="module")
def vlm() -> rs.VLM:
    return rs.load(model=qwen2_vl(), processor=qwen_processor())


@pytest.mark.parametrize("images", [[picture()], PAIR], ids=["one", "two"])
def test_equals_the_library(vlm, images):
    check_forward(vlm, images)
    check_generate(vlm, images)


@pytest.mark.parametrize("images", [[picture()], PAIR], ids=["one", "two"])
def test_paths_agree(vlm, images):
    assert vlm.capabilities.supports("incremental")
    check_paths(vlm, images)


def test_eager_attention():
    vlm = rs.load(model=qwen2_vl("eager"), processor=qwen_processor())
    check_forward(vlm, [picture()])
    check_rows(vlm, [picture()])
    check_paths(vlm, [picture()])


def test_sliding_windows():
    model = qwen2_vl(use_sliding_window=True, sliding_window=16, max_window_layers=2)
    vlm = rs.load(model=model, processor=qwen_processor())
    check_forward(vlm, [picture()])
    check_paths(vlm, [picture()], windows=True)


def test_attention_rows(vlm):
    check_rows(vlm, [picture()])


def test_layout(vlm):
    check_layout(
        vlm,
        vlm.model.model.visual.patch_embed,
        lambda output: output.view(-1, 4 * output.shape[-1]),
        list(SIZES.values()),
    )


def test_a_token_covers_merged_patches(vlm):
    prompt = vlm.prompt([picture((48, 32))], QUESTION)
    (layout,) = prompt.inputs.layouts
    assert layout.grid == (4, 6)
    assert layout.boxes[0].tolist() == [0, 0, 8, 8]
    assert layout.boxes[7].tolist() == [8, 8, 16, 16]


@pytest.mark.parametrize("images", [[picture()], PAIR], ids=["one", "two"])
def test_rotary_positions_are_the_library_s(vlm, images):
    inputs = vlm.prompt(images, QUESTION).inputs
    given = oracle(vlm, images)
    wanted, deltas = vlm.model.model.get_rope_index(
        given["input_ids"],
        image_grid_thw=given["image_grid_thw"],
        mm_token_type_ids=given["mm_token_type_ids"],
    )
    n = len(inputs.input_ids)
    found = vlm.adapter.arguments(inputs, 0, n + 3)["position_ids"]
    assert torch.equal(found[:, :, :n], wanted)
    behind = torch.arange(n, n + 3) + deltas[0]
    assert torch.equal(found[:, 0, n:], behind.expand(3, -1))
    # The axes differ somewhere, so that equal positions are no accident.
    assert not torch.equal(found[0], found[1])


def test_prompts_about_one_image_share_it(vlm):
    runs = vlm.run_many([picture()], [QUESTION, "Is there a dog in this image?"])
    alone = vlm.run(vlm.prompt([picture()], "Is there a dog in this image?"))
    assert torch.allclose(runs[1].logits, alone.logits, atol=1e-4)


def test_text_only(vlm):
    run = vlm.run(vlm.prompt(None, QUESTION))
    with torch.no_grad():
        vlm.model.model.rope_deltas = None
        wanted = vlm.model(input_ids=run.inputs.input_ids[None]).logits[0, -1]
    assert torch.allclose(run.logits, wanted, atol=1e-5)


def test_an_image_that_is_too_long_is_refused(vlm):
    with pytest.raises(rs.errors.InputError, match=r"crop it"):
        vlm.prompt([picture((900, 4))], QUESTION)


def test_gradients(vlm):
    run = vlm.run(vlm.prompt([picture((32, 32))], QUESTION))
    assert rs.tokens.by_gradient(run, 5, n=3, steps=30).completeness < 0.2
