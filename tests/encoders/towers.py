"""Tiny random vision-only and contrastive models of transformers, with their own processors."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from transformers import (
    BitImageProcessorPil,
    BlipConfig,
    BlipForImageTextRetrieval,
    BlipImageProcessorPil,
    BlipTextConfig,
    BlipVisionConfig,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    ConvNextConfig,
    ConvNextModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    PreTrainedModel,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    SwinConfig,
    SwinModel,
    ViTConfig,
    ViTImageProcessorPil,
    ViTModel,
)

from tests.conftest import make_tokenizer

SIDE, PATCH = 32, 8
VISION = {
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": PATCH,
}
TEXT = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "vocab_size": 64,
    "max_position_embeddings": 12,
    "bos_token_id": 2,
    "eos_token_id": 3,
    "pad_token_id": 0,
}
SQUARE = {"size": {"height": SIDE, "width": SIDE}}
CROP = {"size": {"shortest_edge": 40}, "crop_size": {"height": SIDE, "width": SIDE}}


def _made(kind: type[PreTrainedModel], config: Any) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = kind(config)
        for parameter in model.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.2)
    return model.float().eval()


def vit() -> tuple[PreTrainedModel, Any]:
    return _made(ViTModel, ViTConfig(**VISION)), ViTImageProcessorPil(**SQUARE)


def dinov2() -> tuple[PreTrainedModel, Any]:
    return _made(Dinov2Model, Dinov2Config(**VISION)), BitImageProcessorPil(**CROP)


def registers() -> tuple[PreTrainedModel, Any]:
    config = Dinov2WithRegistersConfig(**VISION, num_register_tokens=4)
    return _made(Dinov2WithRegistersModel, config), BitImageProcessorPil(**CROP)


def clip_vision() -> tuple[PreTrainedModel, Any]:
    return _made(CLIPVisionModel, CLIPVisionConfig(**VISION)), CLIPImageProcessorPil(**CROP)


def clip() -> tuple[PreTrainedModel, Any]:
    config = CLIPConfig(vision_config=VISION, text_config=TEXT, projection_dim=20)
    images = CLIPImageProcessorPil(**CROP)
    return _made(CLIPModel, config), SimpleNamespace(
        image_processor=images, tokenizer=make_tokenizer()
    )


def siglip() -> tuple[PreTrainedModel, Any]:
    text = {**TEXT, "hidden_size": 24, "projection_size": 24}
    config = SiglipConfig(vision_config=VISION, text_config=text)
    images = SiglipImageProcessorPil(**SQUARE)
    return _made(SiglipModel, config), SimpleNamespace(
        image_processor=images, tokenizer=make_tokenizer()
    )


def swin() -> tuple[PreTrainedModel, Any]:
    config = SwinConfig(
        image_size=SIDE, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[2, 2], window_size=4
    )
    return _made(SwinModel, config), ViTImageProcessorPil(**SQUARE)


def convnext() -> tuple[PreTrainedModel, Any]:
    config = ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2, image_size=SIDE)
    return _made(ConvNextModel, config), ViTImageProcessorPil(**SQUARE)


def blip() -> tuple[Any, Any]:
    """Reads image and text together."""
    tokenizer = make_tokenizer()
    shape = {
        "hidden_size": 24,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    vision = BlipVisionConfig(**shape, image_size=32, patch_size=8)
    text = BlipTextConfig(
        **shape,
        vocab_size=len(tokenizer),
        encoder_hidden_size=24,
        max_position_embeddings=32,
        bos_token_id=2,
        pad_token_id=0,
        sep_token_id=3,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    config = BlipConfig(
        text_config=text.to_dict(), vision_config=vision.to_dict(), image_text_hidden_size=16
    )
    images = BlipImageProcessorPil(**SQUARE)
    return _made(BlipForImageTextRetrieval, config), SimpleNamespace(
        image_processor=images, tokenizer=tokenizer
    )
