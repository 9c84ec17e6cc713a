"""PaliGemma and PaliGemma 2: the prompt attends both ways, what follows it causally."""

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
from tiny_prefix import paligemma, paligemma_processor

import retinoscope as rs

PAIR = [picture((30, 70)), picture((64, 20), seed=1)]
ANSWER = "It is red"
KINDS = {
    "sdpa": {},
    "eager": {"attention": "eager"},
    "paligemma2": {"attention": "eager", "decoder": "gemma2"},
}


@pytest.fixture(scope="module", params=KINDS)
def vlm(request) -> rs.VLM:
    return rs.load(model=paligemma(**KINDS[request.param]), processor=paligemma_processor())


@pytest.mark.parametrize("images", [[picture()], PAIR], ids=["one", "two"])
def test_equals_the_library(vlm, images):
    check_forward(vlm, images)
    check_generate(vlm, images)


def test_paths_agree(vlm):
    assert vlm.capabilities.supports("incremental")
    check_paths(vlm, [picture()], windows=vlm.capabilities.decoder.startswith("gemma2"))


def test_attention_rows(vlm):
    run = vlm.run(vlm.prompt([picture()], QUESTION))
    first = run.attention(vlm.n_layers - 1, queries=[0])[0, 0]
    assert first[run.n - 1] > 0
    if not vlm.capabilities.decoder.startswith("gemma2"):
        check_rows(vlm, [picture()])


def test_a_prefill_is_read_causally(vlm):
    """As the library reads a suffix: ids of its own behind the prompt, token types of 1."""
    run = vlm.run(vlm.prompt([picture()], QUESTION, prefill=ANSWER))
    given = oracle(vlm, [picture()])
    suffix = vlm.tokenizer(ANSWER, add_special_tokens=False, return_tensors="pt")["input_ids"]
    n = given["input_ids"].shape[1]
    ids = torch.cat([given["input_ids"], suffix], 1)
    assert run.inputs.input_ids.tolist() == ids[0].tolist()
    types = torch.zeros_like(ids)
    types[:, n:] = 1
    with torch.no_grad():
        wanted = vlm.model(
            input_ids=ids, pixel_values=given["pixel_values"], token_type_ids=types
        ).logits[0, -1]
    assert torch.allclose(run.logits, wanted, atol=1e-4)
    rows = run.attention(vlm.n_layers - 1, queries=[n - 1, n])[0]
    assert rows[0, n:].max() == 0
    assert rows[1, n + 1 :].max() == 0


def test_generated_text_is_read_causally(vlm):
    run = vlm.run(vlm.prompt([picture()], QUESTION))
    again = run.generate(4).run()
    assert torch.allclose(again.hidden(2)[: run.n], run.hidden(2), atol=1e-4)


def test_prompts_about_one_image(vlm):
    runs = vlm.run_many([picture()], [QUESTION, "Is there a dog in this image?"])
    alone = vlm.run(vlm.prompt([picture()], "Is there a dog in this image?"))
    assert torch.allclose(runs[1].logits, alone.logits, atol=1e-4)


def test_layout():
    vlm = rs.load(model=paligemma(), processor=paligemma_processor())
    module = vlm.model.model.vision_tower.embeddings.patch_embedding
    check_layout(vlm, module, lambda output: output[0].flatten(1).T, list(SIZES.values()))


def test_a_prompt_without_an_image_is_refused(vlm):
    with pytest.raises(rs.errors.CapabilityError, match="without an image"):
        vlm.prompt(None, QUESTION)


def test_gradients():
    vlm = rs.load(model=paligemma(), processor=paligemma_processor())
    run = vlm.run(vlm.prompt([picture()], QUESTION))
    assert rs.tokens.by_gradient(run, 5, n=3, steps=40).completeness < 0.3
