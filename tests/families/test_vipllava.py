"""VIP-LLaVA: a visual token read at several layers of the vision tower."""

from __future__ import annotations

import pytest
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
from tiny_llava import llava_processor, vipllava

import retinoscope as rs

PAIR = [picture((30, 70)), picture((64, 20), seed=1)]


@pytest.fixture(scope="module")
def vlm() -> rs.VLM:
    return rs.load(model=vipllava(), processor=llava_processor())


@pytest.mark.parametrize("images", [[picture()], PAIR], ids=["one", "two"])
def test_equals_the_library(vlm, images):
    check_forward(vlm, images)
    check_generate(vlm, images)


def test_paths_agree(vlm):
    assert vlm.capabilities.supports("incremental")
    check_paths(vlm, PAIR)


def test_eager_attention():
    vlm = rs.load(model=vipllava("eager"), processor=llava_processor())
    check_forward(vlm, [picture()])
    check_rows(vlm, [picture()])


def test_attention_rows(vlm):
    check_rows(vlm, [picture()])


def test_layout(vlm):
    check_layout(
        vlm,
        vlm.model.model.vision_tower.embeddings.patch_embedding,
        lambda output: output[0].flatten(1).T,
        list(SIZES.values()),
        cropped=True,
    )


def test_a_tower_without_a_class_token_is_refused():
    vlm = rs.load(model=vipllava(tower="siglip"), processor=llava_processor(0))
    with pytest.raises(rs.errors.CapabilityError, match="no class token"):
        vlm.prompt([picture()], QUESTION)


def test_a_prompt_without_a_chat_template():
    processor = llava_processor()
    processor.chat_template = None
    vlm = rs.load(model=vipllava(), processor=processor)
    written = vlm.prompt([picture()], QUESTION, prefill="It is").formatted
    assert written.endswith(f"questions.###Human: <image>\n{QUESTION}###Assistant: It is")
    prompt = vlm.prompt([picture()], QUESTION)
    wanted = oracle(vlm, [picture()])["input_ids"][0]
    assert prompt.inputs.input_ids.tolist() == wanted.tolist()
