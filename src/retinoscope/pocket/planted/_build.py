"""A planted model as Hugging Face objects."""

from __future__ import annotations

import torch
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from ...data import SQUARE_GRID, SQUARE_PATCH
from ...device import device_of
from ..vocabulary import CHAT_TEMPLATE, build_tokenizer
from . import _decoder as decoder
from . import _vision as vision
from ._kinds import planted_named


@torch.no_grad()
def build(
    name: str,
    *,
    dtype: torch.dtype | None = None,
    device: str | torch.device | None = None,
    attention: str | None = None,
) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """Builds the planted model `name` and its processor, in a fraction of a second.

    Args:
        name: of `PLANTED`, with or without "planted:" before it.
        dtype: by default float32.
        device: by default "cpu".
        attention: "sdpa" or "eager"; by default the library's own choice.

    Raises:
        InputError: no such model.
    """
    planted = planted_named(name)
    tokenizer = build_tokenizer()
    model = LlavaForConditionalGeneration._from_config(
        _config(tokenizer), **({} if attention is None else {"attn_implementation": attention})
    )
    for parameter in model.parameters():
        parameter.zero_()
    vision.plant_vision(model, planted)
    bias = vision.plant_projector(model, planted, decoder.EVIDENCE, decoder.WORD, decoder.PLACES)
    decoder.plant_image_bias(bias)
    decoder.plant_decoder(model, planted, tokenizer)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    side = SQUARE_GRID * SQUARE_PATCH
    images = CLIPImageProcessorPil(
        size={"shortest_edge": side},
        crop_size={"height": side, "width": side},
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    processor = LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=SQUARE_PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )
    torch.nn.Module.to(model, device_of(device), dtype or torch.float32)
    return model.eval(), processor


def _config(tokenizer) -> LlavaConfig:
    sight = CLIPVisionConfig(
        hidden_size=vision.WIDTH,
        intermediate_size=vision.N_LABELS,
        num_hidden_layers=2,
        num_attention_heads=vision.HEADS,
        image_size=SQUARE_GRID * SQUARE_PATCH,
        patch_size=SQUARE_PATCH,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=decoder.WIDTH,
        intermediate_size=8,
        num_hidden_layers=decoder.BLOCKS,
        num_attention_heads=decoder.HEADS,
        num_key_value_heads=decoder.HEADS,
        max_position_embeddings=512,
        rope_parameters={"rope_type": "default", "rope_theta": decoder.ROTATION},
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    )
    return LlavaConfig(
        vision_config=sight,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=SQUARE_GRID**2,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
    )
