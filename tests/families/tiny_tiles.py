"""Tiny random models of Idefics3, SmolVLM, InternVL, Pixtral and Mistral 3; their processors."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from typing import Any

from tiny import WORDS, made, named, without_video, word_tokenizer
from transformers import (
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3Processor,
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLProcessor,
    LlavaConfig,
    LlavaForConditionalGeneration,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    PreTrainedModel,
    ProcessorMixin,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.pixtral import image_processing_pil_pixtral as pixtral_images
from transformers.models.smolvlm import processing_smolvlm
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

_TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
    "tie_word_embeddings": False,
}
_NAMED = named("<s>", "</s>")

# Idefics3 and SmolVLM

IDEFICS_SPECIAL = (
    *("<pad>", "<unk>", "<s>", "</s>", "<image>", "<fake_token_around_image>"),
    *("<end_of_utterance>", "<global-img>"),
    *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
)
IDEFICS_TEMPLATE = (
    "<s>{% for message in messages %}{{ message['role'] }}:"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
_IDEFICS_IMAGES = {"size": {"longest_edge": 48}, "max_image_size": {"longest_edge": 16}}
_IDEFICS = {
    "text_config": {
        "model_type": "llama",
        "vocab_size": len(IDEFICS_SPECIAL) + len(WORDS),
        **_TEXT,
    },
    "vision_config": {
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 16,
        "patch_size": 4,
    },
    "image_token_id": 4,
    "scale_factor": 2,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
}


def idefics3_processor(**options: Any) -> ProcessorMixin:
    """Up to 3 x 3 tiles of 16 x 16 pixels, 4 visual tokens each."""
    return Idefics3Processor(
        image_processor=Idefics3ImageProcessorPil(**{**_IDEFICS_IMAGES, **options}),
        tokenizer=word_tokenizer(IDEFICS_SPECIAL, _NAMED),
        image_seq_len=4,
        chat_template=IDEFICS_TEMPLATE,
    )


def smolvlm_processor(**options: Any) -> ProcessorMixin:
    """The same; what the processor needs for videos only is left out."""
    if processing_smolvlm.num2words is None:
        # It writes the number of a video's frames in words.
        processing_smolvlm.num2words = str

    class Processor(processing_smolvlm.SmolVLMProcessor):
        def check_argument_for_proper_class(self, argument_name: str, argument: object) -> Any:
            if argument_name == "video_processor":
                return None
            return super().check_argument_for_proper_class(argument_name, argument)

    return Processor(
        image_processor=SmolVLMImageProcessorPil(**{**_IDEFICS_IMAGES, **options}),
        tokenizer=word_tokenizer(
            IDEFICS_SPECIAL,
            _NAMED,
            {
                "image_token": "<image>",
                "fake_image_token": "<fake_token_around_image>",
                "global_image_token": "<global-img>",
                "end_of_utterance_token": "<end_of_utterance>",
            },
        ),
        video_processor=SimpleNamespace(num_frames=8, fps=1, model_input_names=[]),
        image_seq_len=4,
        chat_template=IDEFICS_TEMPLATE,
    )


def idefics3(attention: str = "sdpa", seed: int = 0) -> PreTrainedModel:
    """4 blocks of width 32; a vision tower of 2 blocks of width 16."""
    return made(Idefics3ForConditionalGeneration, Idefics3Config(**_IDEFICS), attention, seed)


def smolvlm(attention: str = "sdpa", seed: int = 0) -> PreTrainedModel:
    """The same in SmolVLM's classes."""
    return made(SmolVLMForConditionalGeneration, SmolVLMConfig(**_IDEFICS), attention, seed)


# InternVL

INTERN_SPECIAL = (
    *("<pad>", "<unk>", "<s>", "</s>", "<IMG_CONTEXT>", "<img>", "</img>", "<video>"),
    *("<|im_start|>", "<|im_end|>"),
)
INTERN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<IMG_CONTEXT>\n"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def internvl_processor(**options: Any) -> ProcessorMixin:
    """Up to 6 tiles of 16 x 16 pixels, 4 visual tokens each, and a thumbnail."""
    settings = {"size": {"height": 16, "width": 16}, "min_patches": 1, "max_patches": 6}
    return without_video(InternVLProcessor)(
        image_processor=GotOcr2ImageProcessorPil(**{**settings, **options}),
        tokenizer=word_tokenizer(
            INTERN_SPECIAL,
            named("<s>", "<|im_end|>"),
            {
                "start_image_token": "<img>",
                "end_image_token": "</img>",
                "context_image_token": "<IMG_CONTEXT>",
                "video_token": "<video>",
            },
        ),
        image_seq_length=4,
        chat_template=INTERN_TEMPLATE,
    )


def internvl(attention: str = "sdpa", seed: int = 0) -> PreTrainedModel:
    """4 blocks of a Qwen2 decoder of width 32; a vision tower of 2 blocks of width 16."""
    config = InternVLConfig(
        text_config={
            **_TEXT,
            "model_type": "qwen2",
            "vocab_size": len(INTERN_SPECIAL) + len(WORDS),
            "eos_token_id": 9,
        },
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 24,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": [16, 16],
            "patch_size": [4, 4],
        },
        image_token_id=4,
        image_seq_length=4,
        tie_word_embeddings=False,
    )
    return made(InternVLForConditionalGeneration, config, attention, seed)


# Pixtral and Mistral 3

MISTRAL_SPECIAL = (
    *("<pad>", "<unk>", "<s>", "</s>", "[IMG]", "[IMG_BREAK]", "[IMG_END]"),
    *("[INST]", "[/INST]"),
)
MISTRAL_TEMPLATE = (
    "<s>{% for message in messages %}[INST]"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}[IMG]"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}[/INST]{% endfor %}"
)
_PIXTRAL_VISION = {
    "model_type": "pixtral",
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 64,
    "patch_size": 4,
}


def _pixtral_processor_class() -> type[ProcessorMixin]:
    """The family's processor; its module imports a function from one that needs torchvision."""
    name = "transformers.models.pixtral.image_processing_pixtral"
    if find_spec("torchvision") is None and name not in sys.modules:
        # The same function stands in the module of the PIL image processor.
        module = ModuleType(name)
        module.get_resize_output_image_size = pixtral_images.get_resize_output_image_size
        sys.modules[name] = module
        try:
            from transformers.models.pixtral.processing_pixtral import PixtralProcessor
        finally:
            del sys.modules[name]
    else:
        from transformers.models.pixtral.processing_pixtral import PixtralProcessor
    return PixtralProcessor


def pixtral_processor(merge: int = 1, **options: Any) -> ProcessorMixin:
    """Patches of 4 pixels, `merge` x `merge` of them merged; images of at most 48 pixels."""
    kind: Any = _pixtral_processor_class()
    return kind(
        image_processor=pixtral_images.PixtralImageProcessorPil(
            **{"size": {"longest_edge": 48}, "patch_size": {"height": 4, "width": 4}, **options}
        ),
        tokenizer=word_tokenizer(MISTRAL_SPECIAL, _NAMED),
        patch_size=4,
        spatial_merge_size=merge,
        chat_template=MISTRAL_TEMPLATE,
    )


def _mistral(text: dict[str, Any]) -> dict[str, Any]:
    own = {"model_type": "mistral", "vocab_size": len(MISTRAL_SPECIAL) + len(WORDS), "head_dim": 8}
    return {**_TEXT, **own, "sliding_window": None, **text}


def pixtral(attention: str = "sdpa", seed: int = 0, **text: Any) -> PreTrainedModel:
    """4 blocks of width 32; a vision tower of 2 blocks of width 16."""
    config = LlavaConfig(
        text_config=_mistral(text),
        vision_config=_PIXTRAL_VISION,
        image_token_index=4,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=False,
    )
    return made(LlavaForConditionalGeneration, config, attention, seed)


def mistral3(attention: str = "sdpa", seed: int = 0, **text: Any) -> PreTrainedModel:
    """The same, with 2 x 2 patches merged."""
    config = Mistral3Config(
        text_config=_mistral(text),
        vision_config=_PIXTRAL_VISION,
        image_token_index=4,
        spatial_merge_size=2,
        tie_word_embeddings=False,
    )
    return made(Mistral3ForConditionalGeneration, config, attention, seed)
