"""Writes a trained model as an ordinary Hugging Face folder."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import (
    CLIPImageProcessorPil,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerBase,
)

from ...pocket.vocabulary import CHAT_TEMPLATE
from ._config import Sizes


def export(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    sizes: Sizes,
    folder: Path,
) -> None:
    """Writes weights (float16), configuration, tokenizer and processor to `folder`.

    float16 rather than bfloat16: the weights are small, and three more bits of mantissa keep the
    stored model closer to the trained one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    image_processor = CLIPImageProcessorPil(
        size={"shortest_edge": sizes.image},
        crop_size={"height": sizes.image, "width": sizes.image},
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    processor = LlavaProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        patch_size=sizes.patch,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )
    processor.save_pretrained(folder)
    half = LlavaForConditionalGeneration(model.config).half()
    half.load_state_dict(
        {key: value.to(torch.float16) for key, value in model.state_dict().items()}
    )
    half.generation_config.eos_token_id = tokenizer.eos_token_id
    half.generation_config.pad_token_id = tokenizer.pad_token_id
    half.save_pretrained(folder)
    # save_pretrained writes weights readable by the owner only; an installed package needs more.
    (folder / "model.safetensors").chmod(0o644)
