"""Tiny random models of FastVLM, Ovis2 and Aria, and of two families that have no adapter."""

from __future__ import annotations

from typing import Any

from tiny_rotary import WORDS, spread, word_tokenizer
from transformers import (
    AriaConfig,
    AriaForConditionalGeneration,
    AriaProcessor,
    AyaVisionConfig,
    AyaVisionForConditionalGeneration,
    AyaVisionProcessor,
    CLIPImageProcessorPil,
    ConvNextConfig,
    DeepseekVLConfig,
    DeepseekVLForConditionalGeneration,
    DeepseekVLProcessor,
    FastVlmConfig,
    FastVlmForConditionalGeneration,
    LlavaProcessor,
    Ovis2Config,
    Ovis2ForConditionalGeneration,
    Ovis2Processor,
    PreTrainedModel,
    ProcessorMixin,
)
from transformers.models.aria.image_processing_pil_aria import AriaImageProcessorPil
from transformers.models.deepseek_vl.image_processing_pil_deepseek_vl import (
    DeepseekVLImageProcessorPil,
)
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.ovis2.image_processing_pil_ovis2 import Ovis2ImageProcessorPil

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
_NAMED = {
    "bos_token": "<bos>",
    "eos_token": "<eos>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
}
_COMMON = ("<pad>", "<unk>", "<bos>", "<eos>", "<image>")

# Families that have no adapter: Aya Vision and DeepSeek-VL

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
    return spread(
        AyaVisionForConditionalGeneration._from_config(config, attn_implementation=attention), seed
    )


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
    return spread(
        DeepseekVLForConditionalGeneration._from_config(config, attn_implementation=attention), seed
    )


# Aria

ARIA_SIDE, ARIA_PATCH, ARIA_QUERIES = 980, 140, 6


def aria_processor(**options: Any) -> ProcessorMixin:
    """980 x 980 pixels, which the processor's class asks for, patches of 140."""
    settings = {"max_image_size": ARIA_SIDE, "min_image_size": ARIA_PATCH}
    return AriaProcessor(
        image_processor=AriaImageProcessorPil(**{**settings, **options}),
        tokenizer=word_tokenizer(_COMMON, _NAMED, {"image_token": "<image>"}),
        size_conversion={ARIA_SIDE: ARIA_QUERIES},
    )


def aria(attention: str = "sdpa", seed: int = 0, **text: Any) -> PreTrainedModel:
    """4 blocks with four experts each, two of them per token."""
    config = AriaConfig(
        vision_config={
            "model_type": "idefics3_vision",
            "hidden_size": 16,
            "intermediate_size": 24,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": ARIA_SIDE,
            "patch_size": ARIA_PATCH,
        },
        text_config={
            **_TEXT,
            "model_type": "aria_text",
            "vocab_size": len(_COMMON) + len(WORDS),
            "moe_num_experts": 4,
            "moe_topk": 2,
            "moe_num_shared_experts": 1,
            **text,
        },
        projector_patch_to_query_dict={(ARIA_SIDE // ARIA_PATCH) ** 2: ARIA_QUERIES},
        image_token_index=_COMMON.index("<image>"),
    )
    return spread(
        AriaForConditionalGeneration._from_config(config, attn_implementation=attention), seed
    )


# Ovis2

_OVIS_SPECIAL = (
    *_COMMON,
    *("<IMG_ATOM>", "<IMG_START>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>"),
)
OVIS_WORDS = 24
"""Size of the visual vocabulary, the five indicators included."""


def ovis2_processor(tokens: int = 16, **options: Any) -> ProcessorMixin:
    """Frames of 32 x 32 pixels, patches of 4 merged 2 x 2: 16 visual tokens; up to four tiles."""
    settings = {"size": {"height": 32, "width": 32}, "crop_to_patches": True, "max_patches": 4}
    return Ovis2Processor(
        image_processor=Ovis2ImageProcessorPil(**{**settings, **options}),
        tokenizer=word_tokenizer(_OVIS_SPECIAL, _NAMED),
        image_seq_length=tokens,
    )


def ovis2(
    attention: str = "sdpa", seed: int = 0, vision: dict[str, Any] | None = None, **text: Any
) -> PreTrainedModel:
    """A Qwen 2 decoder of 4 blocks; the words of the visual vocabulary far from each other."""
    size = len(_OVIS_SPECIAL) + len(WORDS)
    config = Ovis2Config(
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 24,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 4,
            "hidden_stride": 2,
            "vocab_size": OVIS_WORDS,
            **(vision or {}),
        },
        text_config={**_TEXT, "model_type": "qwen2", "vocab_size": size, **text},
        image_token_id=5,
        visual_indicator_token_ids=list(range(6, 11)),
        vocab_size=size,
        hidden_size=32,
        tie_word_embeddings=False,
    )
    model = Ovis2ForConditionalGeneration._from_config(config, attn_implementation=attention)
    return spread(model, seed)


# FastVLM


def fast_vlm_processor(**options: Any) -> ProcessorMixin:
    """CLIP's resize and crop to 48 x 48 pixels, 6 x 6 visual tokens."""
    settings = {"size": {"shortest_edge": 48}, "crop_size": {"height": 48, "width": 48}}
    return LlavaProcessor(
        image_processor=CLIPImageProcessorPil(**{**settings, **options}),
        tokenizer=word_tokenizer(_COMMON, _NAMED, {"image_token": "<image>"}),
        patch_size=8,
        vision_feature_select_strategy="full",
        num_additional_image_tokens=0,
    )


def fast_vlm(
    attention: str = "sdpa", seed: int = 0, vision: Any = None, **text: Any
) -> PreTrainedModel:
    """A Qwen 2 decoder; a ConvNeXt tower of stride 8 unless `vision` is the config of another."""
    tower = vision or ConvNextConfig(hidden_sizes=[12, 16], depths=[1, 1], num_stages=2)
    if vision is None:
        tower.hidden_size = 16
    config = FastVlmConfig(
        vision_config=tower,
        text_config={
            **_TEXT,
            "model_type": "qwen2",
            "vocab_size": len(_COMMON) + len(WORDS),
            **text,
        },
        image_token_index=_COMMON.index("<image>"),
    )
    # Convolutional towers know no other kind.
    kinds = {"": attention, "text_config": attention, "vision_config": "eager"}
    return spread(
        FastVlmForConditionalGeneration._from_config(config, attn_implementation=kinds), seed
    )
