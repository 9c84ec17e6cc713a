"""Tiny random models of Qwen2-VL, Qwen2.5-VL and Qwen3-VL with their own processors."""

from __future__ import annotations

from typing import Any

from tiny import WORDS, made, without_video, word_tokenizer
from transformers import (
    PreTrainedModel,
    ProcessorMixin,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

QWEN_SPECIAL = (
    *("<pad>", "<unk>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"),
    *("<|image_pad|>", "<|video_pad|>"),
)
QWEN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def qwen_processor(
    kind: type[ProcessorMixin] = Qwen2VLProcessor, patch: int = 4, **options: Any
) -> ProcessorMixin:
    """Patches of `patch` pixels merged 2 x 2; images from 4 to 64 visual tokens."""
    side = 2 * patch
    settings = {
        "patch_size": patch,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "size": {"shortest_edge": 4 * side**2, "longest_edge": 64 * side**2},
    }
    tokenizer = word_tokenizer(
        QWEN_SPECIAL, {"eos_token": "<|im_end|>", "pad_token": "<pad>", "unk_token": "<unk>"}
    )
    return without_video(kind)(
        image_processor=Qwen2VLImageProcessorPil(**{**settings, **options}),
        tokenizer=tokenizer,
        chat_template=QWEN_TEMPLATE,
    )


_TEXT = {
    "vocab_size": len(QWEN_SPECIAL) + len(WORDS),
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "eos_token_id": 3,
    "bos_token_id": None,
    "pad_token_id": 0,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]},
}
_PLACES = {
    "image_token_id": 6,
    "video_token_id": 7,
    "vision_start_token_id": 4,
    "vision_end_token_id": 5,
}


def qwen2_vl(attention: str = "sdpa", seed: int = 0, **text: Any) -> PreTrainedModel:
    """4 blocks of width 32; a vision tower of 2 blocks of width 16."""
    config = Qwen2VLConfig(
        text_config={**_TEXT, **text},
        vision_config={
            "depth": 2,
            "embed_dim": 16,
            "hidden_size": 32,
            "num_heads": 2,
            "patch_size": 4,
        },
        **_PLACES,
    )
    return made(Qwen2VLForConditionalGeneration, config, attention, seed)


def qwen2_5_vl(attention: str = "sdpa", seed: int = 0, **text: Any) -> PreTrainedModel:
    """The same with windows in the vision tower."""
    config = Qwen2_5_VLConfig(
        text_config={**_TEXT, **text},
        vision_config={
            "depth": 2,
            "hidden_size": 16,
            "intermediate_size": 24,
            "num_heads": 2,
            "patch_size": 4,
            "window_size": 16,
            "out_hidden_size": 32,
            "fullatt_block_indexes": [1],
        },
        **_PLACES,
    )
    return made(Qwen2_5_VLForConditionalGeneration, config, attention, seed)


def qwen3_vl(attention: str = "sdpa", seed: int = 0, **text: Any) -> PreTrainedModel:
    """The same with DeepStack: features of the vision tower's blocks 0 and 1."""
    rope = {**_TEXT["rope_parameters"], "mrope_interleaved": True}
    config = Qwen3VLConfig(
        text_config={**_TEXT, "head_dim": 8, "rope_parameters": rope, **text},
        vision_config={
            "depth": 3,
            "hidden_size": 16,
            "intermediate_size": 24,
            "num_heads": 2,
            "patch_size": 4,
            "out_hidden_size": 32,
            "num_position_embeddings": 16,
            "deepstack_visual_indexes": [0, 1],
        },
        **_PLACES,
    )
    return made(Qwen3VLForConditionalGeneration, config, attention, seed)
