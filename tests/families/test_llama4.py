"""Llama 4 by the generic adapter: features that the model's forward projects itself."""

from __future__ import annotations

import inspect

import pytest
import torch
from checks import picture
from tiny_more import _COMMON, _NAMED, spread, word_tokenizer
from transformers import Llama4Config, Llama4ForConditionalGeneration, LlavaProcessor
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

import retinoscope as rs

IMAGE = "<image>"
SIDE = 32

_features = inspect.signature(Llama4ForConditionalGeneration.get_image_features).parameters
_strategy = _features.get("vision_feature_select_strategy")
pytestmark = pytest.mark.skipif(
    _strategy is not None and _strategy.default is inspect.Parameter.empty,
    reason="this release's get_image_features has no default strategy: the model is refused",
)


@pytest.fixture(scope="module")
def vlm() -> rs.VLM:
    """With LLaVA's processor: Llama 4's own needs torchvision."""
    tokenizer = word_tokenizer(_COMMON, _NAMED, {"image_token": IMAGE})
    vision = {"hidden_size": 16, "intermediate_size": 64, "num_hidden_layers": 2}
    sizes = {"projector_input_dim": 16, "projector_output_dim": 16, "vision_output_dim": 16}
    text = {"hidden_size": 32, "intermediate_size": 48, "intermediate_size_mlp": 48}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
    config = Llama4Config(
        vision_config={
            **vision,
            **sizes,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": 4,
            "pixel_shuffle_ratio": 0.5,
        },
        text_config={
            **text,
            **heads,
            "vocab_size": len(tokenizer),
            "num_hidden_layers": 4,
            "num_local_experts": 2,
            "no_rope_layers": [1, 1, 0, 1],
            "attention_chunk_size": 64,
            "pad_token_id": 0,
            "eos_token_id": None,
        },
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
    )
    size = {"height": SIDE, "width": SIDE}
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size=size, do_center_crop=False),
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="full",
        image_token=IMAGE,
    )
    made = Llama4ForConditionalGeneration._from_config(config, attn_implementation="eager")
    return rs.load(model=spread(made, 0), processor=processor)


def test_equals_the_library(vlm: rs.VLM) -> None:
    run = vlm.run(vlm.prompt(picture(), "Describe this image."))
    pixels = vlm.processor.image_processor(picture(), return_tensors="pt")["pixel_values"]
    ids = run.inputs.input_ids[None]
    with torch.no_grad():
        own = vlm.model(input_ids=ids, pixel_values=pixels).logits[0, -1]
    torch.testing.assert_close(run.logits, own.float(), atol=1e-5, rtol=1e-5)
    assert len(run.image) == (SIDE // 8) ** 2


def test_interventions_take_the_reference_path(vlm: rs.VLM) -> None:
    run = vlm.run(vlm.prompt(picture(), "Describe this image."))
    effects = run.counterfactuals([(), rs.Ablate(run.image.at([1]), fill=rs.fill.zero())])
    assert set(effects.path) == {"reference"}
    torch.testing.assert_close(effects.logits[0], run.logits, atol=1e-5, rtol=1e-5)
    assert not torch.equal(effects.logits[0], effects.logits[1])
    assert "attn_temperature_tuning" in str(vlm.capabilities)
