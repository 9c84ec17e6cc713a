"""The assembled model: an ordinary `LlavaForConditionalGeneration` and its processor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    CLIPImageProcessorPil,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from ...errors import InputError
from .language import CHAT_TEMPLATE, IMAGE_TOKEN
from .tower import LiteConfig, LiteTower, converted, register

EMBEDDING_STD = 0.1356
"""Standard deviation of the language model's word embeddings, where visual tokens start too."""


def vision_state(file: Path) -> dict[str, torch.Tensor]:
    """Reads the backbone's weights from the published file, as tensors only.

    Raises:
        InputError: another file.
    """
    try:
        return converted(torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise InputError(
            f"expected the weights of EfficientNet-Lite0, got {file}: {first}"
        ) from error


def assemble(
    language: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    backbone: dict[str, torch.Tensor],
    vision: LiteConfig,
    *,
    seed: int = 0,
    attention: str | None = None,
) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """Assembles the whole model in evaluation mode, with a random adapter.

    Args:
        language: the language model; its tensors are used, not copied.
        tokenizer: prepared by `open_language`.
        backbone: the vision tower's weights (see `vision_state`).
        vision: which features the tower gives.
        seed: of the adapter's weights.
        attention: "sdpa" or "eager"; by default the library's own choice.
    """
    register()
    # The weights are de-quantised by now; a saved model is an ordinary one.
    vars(language.config).pop("quantization_config", None)
    side, patch = vision.image_size, vision.patch_size
    known: Any = tokenizer
    config = LlavaConfig(
        vision_config=vision,
        text_config=language.config,
        image_token_index=known.convert_tokens_to_ids(IMAGE_TOKEN),
        image_seq_length=(side // patch) ** 2,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=bool(language.config.tie_word_embeddings),
    )
    # Only the shell is created here; random weights of the language model would be discarded.
    with torch.device("meta"):
        shell: Any = LlavaForConditionalGeneration(config)
    core, language_model = shell.model, language
    core.vision_tower = LiteTower(vision)
    core.vision_tower.backbone.load_state_dict(backbone)
    core.language_model = language_model.model  # type: ignore[attr-defined]
    shell.lm_head = language_model.lm_head  # type: ignore[attr-defined]
    core.multi_modal_projector.to_empty(device="cpu")
    initialise(core.multi_modal_projector, seed)
    if attention is not None:
        shell.set_attn_implementation(attention)
    shell.generation_config.eos_token_id = known.eos_token_id
    shell.generation_config.pad_token_id = known.pad_token_id
    return shell.eval(), processor_for(tokenizer, vision)


def processor_for(tokenizer: PreTrainedTokenizerBase, vision: LiteConfig) -> LlavaProcessor:
    """Scales images to -1..1 at the tower's size (by the shorter side, then a centre crop)."""
    side = vision.image_size
    images = CLIPImageProcessorPil(
        size={"shortest_edge": side},
        crop_size={"height": side, "width": side},
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=vision.patch_size,
        vision_feature_select_strategy="full",
        num_additional_image_tokens=0,
        image_token=IMAGE_TOKEN,
        chat_template=CHAT_TEMPLATE,
    )


def initialise(projector: nn.Module, seed: int) -> None:
    """Sets random weights whose output has the scale of word embeddings."""
    generator = torch.Generator().manual_seed(seed)
    linears = [module for module in projector.modules() if isinstance(module, nn.Linear)]
    for number, linear in enumerate(linears):
        std = linear.in_features**-0.5
        # A GELU of unit noise has a root mean square of about 0.65.
        scale = std * (EMBEDDING_STD / 0.65 if number else 1.0)
        # Drawn on the CPU, for the same weights on every device.
        drawn = torch.empty(linear.weight.shape).normal_(std=scale, generator=generator)
        with torch.no_grad():
            linear.weight.copy_(drawn)
        nn.init.zeros_(linear.bias)
