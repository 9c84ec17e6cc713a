"""Tiny random models of the LLaVA families with their own processors."""

from __future__ import annotations

from typing import Any

from tiny import WORDS, made, named, without_video, word_tokenizer
from transformers import (
    CLIPImageProcessorPil,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextProcessor,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionProcessor,
    LlavaProcessor,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ProcessorMixin,
    VipLlavaConfig,
    VipLlavaForConditionalGeneration,
)
from transformers.models.llava_next.image_processing_pil_llava_next import (
    LlavaNextImageProcessorPil,
)
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)

SPECIAL = ("<pad>", "<unk>", "<s>", "</s>", "<image>", "<video>")
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] }} "
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>\n"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}</s>{% endfor %}"
    "{% if add_generation_prompt %}assistant {% endif %}"
)

_TEXT = {
    "model_type": "llama",
    "vocab_size": len(SPECIAL) + len(WORDS),
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
_VISION = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "patch_size": 4,
}


def _vision(kind: str, side: int) -> dict[str, Any]:
    head = {"vision_use_head": False} if kind == "siglip" else {}
    return {**_VISION, **head, "model_type": f"{kind}_vision_model", "image_size": side}


def llava_tokenizer() -> PreTrainedTokenizerFast:
    extra = {"image_token": "<image>", "video_token": "<video>"}
    return word_tokenizer(SPECIAL, named("<s>", "</s>"), extra)


# LLaVA-1.5 and VIP-LLaVA


def llava_processor(leading: int = 1, strategy: str = "default", **options: Any) -> LlavaProcessor:
    """28 x 28 pixels, cropped; 49 visual tokens."""
    settings = {"size": {"shortest_edge": 28}, "crop_size": {"height": 28, "width": 28}}
    return LlavaProcessor(
        image_processor=CLIPImageProcessorPil(**{**settings, **options}),
        tokenizer=llava_tokenizer(),
        patch_size=4,
        vision_feature_select_strategy=strategy,
        num_additional_image_tokens=leading,
        chat_template=TEMPLATE,
    )


def llava(
    attention: str = "sdpa", seed: int = 0, tower: str = "clip", **options: Any
) -> PreTrainedModel:
    """4 blocks of width 32; a `tower` ("clip", "siglip") of 3 blocks of width 16."""
    config = LlavaConfig(
        text_config=_TEXT,
        vision_config=_vision(tower, 28),
        **{"image_token_index": 4, "vision_feature_layer": -2, **options},
    )
    return made(LlavaForConditionalGeneration, config, attention, seed)


def vipllava(attention: str = "sdpa", seed: int = 0, tower: str = "clip") -> PreTrainedModel:
    """The same with features of three layers of the vision tower."""
    # The field has another name in older versions of the library; its default does not fit.
    field = "vision_feature_layer"
    if not hasattr(VipLlavaConfig(), field):
        field = "vision_feature_layers"
    config = VipLlavaConfig(
        text_config=_TEXT,
        vision_config=_vision(tower, 28),
        image_token_index=4,
        **{field: [-2, -3, 1]},
    )
    return made(VipLlavaForConditionalGeneration, config, attention, seed)


# LLaVA-NeXT

NEXT_RESOLUTIONS = [[16, 32], [32, 16], [32, 32], [48, 16], [16, 48]]


def llava_next_processor(strategy: str = "default", **options: Any) -> LlavaNextProcessor:
    """Tiles of 16 x 16 pixels with 16 features each, in the released models' proportions."""
    settings = {
        "size": {"shortest_edge": 16},
        "crop_size": {"height": 16, "width": 16},
        "image_grid_pinpoints": NEXT_RESOLUTIONS,
    }
    return LlavaNextProcessor(
        image_processor=LlavaNextImageProcessorPil(**{**settings, **options}),
        tokenizer=llava_tokenizer(),
        patch_size=4,
        vision_feature_select_strategy=strategy,
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )


def llava_next(attention: str = "sdpa", seed: int = 0, **options: Any) -> PreTrainedModel:
    """4 blocks of width 32; a CLIP tower of 3 blocks of width 16."""
    settings = {
        "image_token_index": 4,
        "image_grid_pinpoints": NEXT_RESOLUTIONS,
        "vision_config": _vision("clip", 16),
    }
    config = LlavaNextConfig(text_config=_TEXT, **{**settings, **options})
    return made(LlavaNextForConditionalGeneration, config, attention, seed)


# LLaVA-OneVision

ONEVISION_RESOLUTIONS = [
    [18 * rows, 18 * columns] for rows in range(1, 4) for columns in range(1, 4)
]


def llava_onevision_processor(ratio: str = "anyres_max_4", **options: Any) -> ProcessorMixin:
    """Tiles of 18 x 18 pixels with 16 features each: 2 pixels of each side are in no patch."""
    settings = {
        "size": {"height": 18, "width": 18},
        "image_grid_pinpoints": ONEVISION_RESOLUTIONS,
    }
    return without_video(LlavaOnevisionProcessor)(
        image_processor=LlavaOnevisionImageProcessorPil(**{**settings, **options}),
        tokenizer=llava_tokenizer(),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        vision_aspect_ratio=ratio,
        chat_template=TEMPLATE,
    )


def llava_onevision(attention: str = "sdpa", seed: int = 0, **options: Any) -> PreTrainedModel:
    """4 blocks of width 32 (Qwen2); a SigLIP tower of 3 blocks of width 16."""
    settings = {
        "image_token_index": 4,
        "video_token_index": 5,
        "image_grid_pinpoints": ONEVISION_RESOLUTIONS,
        "vision_aspect_ratio": "anyres_max_4",
        "vision_config": _vision("siglip", 18),
    }
    config = LlavaOnevisionConfig(
        text_config={**_TEXT, "model_type": "qwen2"},
        **{**settings, **options},
    )
    return made(LlavaOnevisionForConditionalGeneration, config, attention, seed)
