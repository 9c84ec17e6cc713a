"""Decoders whose blocks are called, or answer, in another way than most: exact, or refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import retinoscope as rs
from tests.conftest import make_processor
from tests.engine.decoders import MORE, decoder_model, decoder_vlm

GEMMA2, GEMMA4, FALCON, PER_LAYER = MORE


@pytest.mark.parametrize("kind", [GEMMA2, GEMMA4, FALCON])
def test_exact(kind, square):
    """Run, both paths and greedy continuation, against plain transformers."""
    vlm = decoder_vlm(kind)
    run = vlm.run(vlm.prompt(square, "Is there a cat in this image?"))
    call: Any = vlm.processor
    given = call(text=[run.prompt.formatted], images=[square], return_tensors="pt")
    with torch.no_grad():
        plain = vlm.model(**given).logits[0, -1].float()
        text = vlm.model.generate(**given, max_new_tokens=5, do_sample=False)[0, run.n :]
    assert torch.allclose(run.logits, plain, atol=1e-4)
    ids = run.generate(5).token_ids
    assert torch.equal(ids, text[: len(ids)])
    tokens = run.image.at(range(9))
    asked = [
        rs.Ablate(tokens, rs.fill.zero()),
        rs.Patch(tokens, [2], run, run.image.at(range(9, 18))),
    ]
    found = run.counterfactuals(asked)
    assert set(found.path) == {"reference" if kind == FALCON else "incremental"}
    wanted = run.counterfactuals(asked, exact="reference")
    assert torch.allclose(found.logits, wanted.logits, atol=1e-4)
    assert float((wanted.logits - run.logits).abs().amax(-1).min()) > 1e-3
    lens = run.lens(positions="last", top_k=3)
    assert torch.allclose(lens.probs[-1, 0], plain.softmax(-1).topk(3).values, atol=1e-4)


def test_the_soft_cap_is_the_models_own():
    """LLaVA around Gemma 2 caps nothing, whatever the decoder's config says."""
    assert decoder_vlm(GEMMA2).adapter.text_config.final_logit_softcapping == 5.0
    assert decoder_vlm(GEMMA2).adapter.soft_cap is None


def test_per_layer_inputs_are_refused():
    with pytest.raises(rs.CapabilityError, match="hidden_size_per_layer_input"):
        rs.load(model=decoder_model(PER_LAYER), processor=make_processor())
