"""Tiny random models of Gemma 3, PaliGemma (1 and 2) and LFM2-VL with their own processors."""

from __future__ import annotations

from typing import Any

from tiny import WORDS, made, named, word_tokenizer
from transformers import (
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3Processor,
    Lfm2VlConfig,
    Lfm2VlForConditionalGeneration,
    Lfm2VlProcessor,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    PaliGemmaProcessor,
    PreTrainedModel,
    ProcessorMixin,
)
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

_VISION = {
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
    "head_dim": 8,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
}

# Gemma 3

GEMMA_SPECIAL = (
    *("<pad>", "<unk>", "<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
    *("<start_of_image>", "<end_of_image>", "<image_soft_token>"),
)
GEMMA_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<start_of_turn>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<start_of_image>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>assistant\n{% endif %}"
)


def gemma3_processor(**options: Any) -> ProcessorMixin:
    """32 x 32 pixels, 16 visual tokens."""
    tokenizer = word_tokenizer(
        GEMMA_SPECIAL,
        named("<bos>", "<eos>"),
        {
            "image_token": "<image_soft_token>",
            "boi_token": "<start_of_image>",
            "eoi_token": "<end_of_image>",
        },
    )
    settings = {"size": {"height": 32, "width": 32}}
    return Gemma3Processor(
        image_processor=Gemma3ImageProcessorPil(**{**settings, **options}),
        tokenizer=tokenizer,
        chat_template=GEMMA_TEMPLATE,
        image_seq_length=16,
    )


def gemma3(attention: str = "sdpa", seed: int = 0, **text: Any) -> PreTrainedModel:
    """4 blocks, windows of 12 positions in all but the last: shorter than an image."""
    config = Gemma3Config(
        text_config={
            **_TEXT,
            "vocab_size": len(GEMMA_SPECIAL) + len(WORDS),
            "query_pre_attn_scalar": 8,
            "sliding_window": 12,
            "layer_types": [*["sliding_attention"] * 3, "full_attention"],
            **text,
        },
        vision_config=_VISION,
        mm_tokens_per_image=16,
        boi_token_index=6,
        eoi_token_index=7,
        image_token_index=8,
    )
    return made(Gemma3ForConditionalGeneration, config, attention, seed)


# PaliGemma

PALI_SPECIAL = ("<pad>", "<unk>", "<bos>", "<eos>", "<image>")


def paligemma_processor(**options: Any) -> ProcessorMixin:
    """32 x 32 pixels, 64 visual tokens."""
    tokenizer = word_tokenizer(
        PALI_SPECIAL,
        named("<bos>", "<eos>"),
        {"image_token": "<image>"},
    )
    images = SiglipImageProcessorPil(**{"size": {"height": 32, "width": 32}, **options})
    images.image_seq_length = 64
    return PaliGemmaProcessor(image_processor=images, tokenizer=tokenizer)


def paligemma(
    attention: str = "sdpa", seed: int = 0, decoder: str = "gemma", **text: Any
) -> PreTrainedModel:
    """4 blocks; `decoder` "gemma" for PaliGemma, "gemma2" (windows, soft caps) for PaliGemma 2."""
    own: dict[str, Any] = {"model_type": decoder, "vocab_size": 1200}
    if decoder == "gemma2":
        own |= {"query_pre_attn_scalar": 8, "sliding_window": 24}
    config = PaliGemmaConfig(
        text_config={**_TEXT, **own, **text},
        vision_config={**_VISION, "model_type": "siglip_vision_model"},
        image_token_index=4,
        projection_dim=32,
        hidden_size=32,
    )
    return made(PaliGemmaForConditionalGeneration, config, attention, seed)


# LFM2-VL

LFM_SPECIAL = (
    *("<pad>", "<unk>", "<|startoftext|>", "<|im_end|>", "<|im_start|>", "<image>"),
    *("<|image_start|>", "<|image_end|>", "<|img_thumbnail|>"),
    *(f"<|img_row_{row}_col_{column}|>" for row in range(1, 5) for column in range(1, 5)),
)
LFM_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def lfm2_vl_processor(**options: Any) -> ProcessorMixin:
    """Tiles of 16 x 16 pixels (4 visual tokens each); needs torchvision."""
    from transformers import Lfm2VlImageProcessor

    settings = {
        "encoder_patch_size": 4,
        "tile_size": 16,
        "min_image_tokens": 4,
        "max_image_tokens": 12,
        "min_tiles": 2,
        "max_tiles": 4,
    }
    tokenizer = word_tokenizer(
        LFM_SPECIAL,
        named("<|startoftext|>", "<|im_end|>"),
        {
            "image_token": "<image>",
            "image_start_token": "<|image_start|>",
            "image_end_token": "<|image_end|>",
            "image_thumbnail": "<|img_thumbnail|>",
        },
    )
    return Lfm2VlProcessor(
        image_processor=Lfm2VlImageProcessor(**{**settings, **options}),
        tokenizer=tokenizer,
        chat_template=LFM_TEMPLATE,
    )


def lfm2_vl(attention: str = "sdpa", seed: int = 0, **text: Any) -> PreTrainedModel:
    """5 blocks, of which 2 and 4 attend and the others convolve."""
    config = Lfm2VlConfig(
        text_config={
            "model_type": "lfm2",
            "vocab_size": len(LFM_SPECIAL) + len(WORDS),
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 5,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 512,
            "block_auto_adjust_ff_dim": False,
            "layer_types": ["conv", "conv", "full_attention", "conv", "full_attention"],
            "pad_token_id": 0,
            "bos_token_id": 2,
            "eos_token_id": 3,
            **text,
        },
        vision_config={
            "model_type": "siglip2_vision_model",
            "hidden_size": 16,
            "intermediate_size": 24,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "patch_size": 4,
            "num_patches": 16,
            "vision_use_head": False,
        },
        image_token_id=5,
        projector_hidden_size=24,
        downsample_factor=2,
    )
    return made(Lfm2VlForConditionalGeneration, config, attention, seed)
