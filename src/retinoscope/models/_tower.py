"""Opens models without a decoder: vision towers, and pairs of vision and text towers."""

from __future__ import annotations

import os
from typing import Any

import torch
from transformers import (
    AutoModel,
    AutoModelForImageTextToText,
    AutoTokenizer,
    BlipForImageTextRetrieval,
    PreTrainedConfig,
    PreTrainedModel,
)

# Older versions of the library need torchvision for this name, although its PIL form does not.
from transformers.models.auto.image_processing_auto import AutoImageProcessor

from ..device import device_of
from ..errors import InputError
from ._families import ADAPTERS
from ._foreign_code import NO_CODE, foreign_code
from ._load import located, read_config, read_processor, read_weights, short


def is_vlm(config: PreTrainedConfig) -> bool:
    """Whether models with this configuration answer questions about an image in text."""
    known: Any = AutoModelForImageTextToText._model_mapping
    return type(config) in known or any(adapter.takes(config) for adapter in ADAPTERS)


def open_tower(
    source: str | os.PathLike[str],
    *,
    dtype: torch.dtype | None = None,
    device: str | torch.device | None = None,
    allow_pickle: bool = False,
) -> tuple[PreTrainedModel, Any, Any] | None:
    """Opens a model in evaluation mode, its image processor and its tokenizer.

    The tokenizer is None for a model without text. The result is None if `source` is a
    vision-language model, which `open_model` opens; no weights are read then.

    Args:
        source: a folder or a Hub id.
        dtype: by default float32.
        device: by default "cpu".
        allow_pickle: also load weights in pickle format, which can run any code.

    Raises:
        InputError: what `open_model` raises, or no image processor beside the model.
    """
    # Pickled weights are refused later, where they are read; for a VLM, by `open_model`.
    name = located(source, allow_pickle=True)
    config = read_config(name)
    if is_vlm(config):
        return None
    place = device_of(device)
    model = read_weights(AutoModel, name, config, dtype or torch.float32, allow_pickle, {})
    torch.nn.Module.to(model, place)
    try:
        images = AutoImageProcessor.from_pretrained(name, backend="pil", **NO_CODE)
    except Exception as error:
        raise foreign_code(name, error) or InputError(
            f"{name}: expected an image processor beside the model, got none that loads "
            f"({short(error)}): save the processor with the model"
        ) from error
    tokenizer = None
    if hasattr(config, "text_config"):
        try:
            tokenizer = AutoTokenizer.from_pretrained(name, **NO_CODE)
        except Exception as error:
            raise foreign_code(name, error) or InputError(
                f"{name}: expected a tokenizer beside the model, got none that loads "
                f"({short(error)}): save the tokenizer with the model"
            ) from error
    return model.eval(), images, tokenizer


def open_matching(
    source: str | os.PathLike[str],
) -> tuple[BlipForImageTextRetrieval, Any] | None:
    """Opens BLIP for image-text matching on the CPU, in float32, and its processor.

    None if `source` is another model; no weights are read then.

    Args:
        source: a folder or a Hub id.

    Raises:
        InputError: what `open_model` raises.
    """
    name = located(source, allow_pickle=True)
    config = read_config(name)
    kind = BlipForImageTextRetrieval
    if kind.__name__ not in (config.architectures or ()):
        return None
    model: Any = read_weights(kind, name, config, torch.float32, False, {})
    return model.eval(), read_processor(name, config)
