"""Tiny random models of families that have no adapter: Aya Vision, DeepSeek-VL, Llama 4."""

from __future__ import annotations

from typing import Any

from tiny import WORDS, made, named, word_tokenizer
from transformers import (
    AyaVisionConfig,
    AyaVisionForConditionalGeneration,
    AyaVisionProcessor,
    CLIPImageProcessorPil,
    DeepseekVLConfig,
    DeepseekVLForConditionalGeneration,
    DeepseekVLProcessor,
    Llama4Config,
    Llama4ForConditionalGeneration,
    LlavaProcessor,
    PreTrainedModel,
    ProcessorMixin,
)
from transformers.models.deepseek_vl.image_processing_pil_deepseek_vl import (
    DeepseekVLImageProcessorPil,
)
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

_VISION = {
    "model_type": "siglip_vision_model",
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 4,
    "vision_use_head": False,
}
_TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
_NAMED = named("<bos>", "<eos>")
_COMMON = ("<pad>", "<unk>", "<bos>", "<eos>", "<image>")

_AYA_SPECIAL = (
    *_COMMON,
    *("<|START_OF_IMG|>", "<|END_OF_IMG|>", "<|IMG_PATCH|>", "<|IMG_LINE_BREAK|>"),
    *("TILE", "TILE_GLOBAL"),
)


def aya_processor(**options: Any) -> ProcessorMixin:
    """32 x 32 pixels, patches of 4 merged 2 x 2: 16 visual tokens a frame; one frame."""
    settings = {"size": {"height": 32, "width": 32}, "max_patches": 1}
    return AyaVisionProcessor(
        image_processor=GotOcr2ImageProcessorPil(**{**settings, **options}),
        tokenizer=word_tokenizer(_AYA_SPECIAL, _NAMED),
        patch_size=4,
        img_size=32,
        downsample_factor=2,
    )


def aya(attention: str = "sdpa", seed: int = 0, **text: Any) -> PreTrainedModel:
    """A Cohere 2 decoder of 4 blocks, whose config has a factor that the model does not apply."""
    settings = {
        **_TEXT,
        "model_type": "cohere2",
        "vocab_size": len(_AYA_SPECIAL) + len(WORDS),
        "logit_scale": 0.25,
        **text,
    }
    config = AyaVisionConfig(
        vision_config=_VISION,
        text_config=settings,
        image_token_index=_AYA_SPECIAL.index("<|IMG_PATCH|>"),
        downsample_factor=2,
    )
    return made(AyaVisionForConditionalGeneration, config, attention, seed)


def deepseek_processor(**options: Any) -> ProcessorMixin:
    """32 x 32 pixels, the longer side resized and the other padded; 64 visual tokens."""
    settings = {"size": {"height": 32, "width": 32}, "min_size": 4}
    return DeepseekVLProcessor(
        image_processor=DeepseekVLImageProcessorPil(**{**settings, **options}),
        tokenizer=word_tokenizer(_COMMON, _NAMED, {"image_token": "<image>"}),
        num_image_tokens=64,
    )


def deepseek(attention: str = "sdpa", seed: int = 0, **text: Any) -> PreTrainedModel:
    """A Llama decoder of 4 blocks."""
    config = DeepseekVLConfig(
        vision_config=_VISION,
        text_config={
            **_TEXT,
            "model_type": "llama",
            "vocab_size": len(_COMMON) + len(WORDS),
            **text,
        },
        image_token_id=_COMMON.index("<image>"),
    )
    return made(DeepseekVLForConditionalGeneration, config, attention, seed)


def llama4_processor() -> ProcessorMixin:
    """LLaVA's, since Llama 4's own needs torchvision: 32 x 32 pixels, 16 visual tokens."""
    size = {"height": 32, "width": 32}
    return LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size=size, do_center_crop=False),
        tokenizer=word_tokenizer(_COMMON, _NAMED, {"image_token": "<image>"}),
        patch_size=8,
        vision_feature_select_strategy="full",
        image_token="<image>",
    )


def llama4(attention: str = "eager", seed: int = 0) -> PreTrainedModel:
    """4 blocks with two experts each, of which block 2 knows no positions."""
    config = Llama4Config(
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "projector_input_dim": 16,
            "projector_output_dim": 16,
            "vision_output_dim": 16,
            "image_size": 32,
            "patch_size": 4,
            "pixel_shuffle_ratio": 0.5,
        },
        text_config={
            **_TEXT,
            "head_dim": 8,
            "intermediate_size_mlp": 48,
            "vocab_size": len(_COMMON) + len(WORDS),
            "num_local_experts": 2,
            "no_rope_layers": [1, 1, 0, 1],
            "attention_chunk_size": 64,
            "eos_token_id": None,
        },
        image_token_index=_COMMON.index("<image>"),
    )
    return made(Llama4ForConditionalGeneration, config, attention, seed)
