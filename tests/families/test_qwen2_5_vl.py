"""Qwen2.5-VL: as Qwen2-VL, with windows in the vision tower."""

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
from tiny_rotary import qwen2_5_vl, qwen_processor
from transformers import Qwen2_5_VLProcessor

import retinoscope as rs

PAIR = [picture((30, 70)), picture((64, 20), seed=1)]


@pytest.fixture(scope="module")
def vlm() -> rs.VLM:
    return rs.load(model=qwen2_5_vl(), processor=qwen_processor(Qwen2_5_VLProcessor))


@pytest.mark.parametrize("images", [[picture()], PAIR], ids=["one", "two"])
def test_equals_the_library(vlm, images):
    check_forward(vlm, images)
    check_generate(vlm, images)


@pytest.mark.parametrize("images", [[picture()], PAIR], ids=["one", "two"])
def test_paths_agree(vlm, images):
    assert vlm.capabilities.supports("incremental")
    check_paths(vlm, images)


def test_eager_attention():
    vlm = rs.load(model=qwen2_5_vl("eager"), processor=qwen_processor(Qwen2_5_VLProcessor))
    check_forward(vlm, [picture()])
    check_rows(vlm, [picture()])


def test_attention_rows(vlm):
    check_rows(vlm, [picture()])


def test_layout(vlm):
    # The embedding of the patches, before the tower sorts them into windows.
    check_layout(
        vlm,
        vlm.model.model.visual.patch_embed,
        lambda output: output.view(-1, 4 * output.shape[-1]),
        list(SIZES.values()),
    )


def test_features_follow_the_layout(vlm):
    """The tower undoes its windows: a token's own features change with its box as well."""
    image = picture((64, 48))
    before = vlm.encode([image])[0]
    (layout,) = vlm.prompt([image], QUESTION).inputs.layouts
    for token in (0, 13, len(layout) - 1):
        left, top, right, bottom = layout.boxes[token].astype(int)
        changed = image.copy()
        changed.paste((255, 0, 255), (left, top, right, bottom))
        change = (vlm.encode([changed])[0] - before).norm(dim=-1)
        assert int(change.argmax()) == token


def test_rotary_positions_are_the_library_s(vlm):
    inputs = vlm.prompt(PAIR, QUESTION).inputs
    given = oracle(vlm, PAIR)
    wanted, _ = vlm.model.model.get_rope_index(
        given["input_ids"],
        image_grid_thw=given["image_grid_thw"],
        mm_token_type_ids=given["mm_token_type_ids"],
    )
    found = vlm.adapter.arguments(inputs, 0, len(inputs.input_ids))["position_ids"]
    assert torch.equal(found, wanted)
