"""Tiny random models of FastVLM, Ovis2 and Aria with their own processors."""

from __future__ import annotations

from typing import Any

from tiny import WORDS, made, named, word_tokenizer
from transformers import (
    AriaConfig,
    AriaForConditionalGeneration,
    AriaProcessor,
    CLIPImageProcessorPil,
    ConvNextConfig,
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
from transformers.models.ovis2.image_processing_pil_ovis2 import Ovis2ImageProcessorPil

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
    return made(AriaForConditionalGeneration, config, attention, seed)


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
    return made(Ovis2ForConditionalGeneration, config, attention, seed)


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
    return made(FastVlmForConditionalGeneration, config, kinds, seed)
