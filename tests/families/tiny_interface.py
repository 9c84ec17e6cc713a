"""Tiny random models of the visual interfaces, with processors."""

from __future__ import annotations

from typing import Any

import torch
from tiny_query import N_QUERIES, PATCH, SIDE, WORDS, blip2_processor, made
from transformers import LlamaConfig, PreTrainedModel, ProcessorMixin

from retinoscope.interfaces import InterfaceConfig, InterfaceForConditionalGeneration, Lavit

TOWER = {"image": SIDE, "patch": PATCH, "width": 24, "layers": 2, "heads": 2, "ff": 32}
SETTINGS: dict[str, dict[str, Any]] = {
    "projector": {"ff": 32},
    "qformer": {"queries": N_QUERIES, "layers": 4, "heads": 2, "ff": 32},
    "lyrics": {"patch_queries": 2, "object_queries": 4, "heads": 2, "ff": 32},
    "scl": {"layers": 2, "heads": 2, "ff": 32},
    "x-former": {"queries": N_QUERIES, "layers": 2, "heads": 2, "ff": 32, "block_ff": 32},
    "visionlan": {
        "ff": 32, "reader": {"d": 12, "heads": 2, "ff": 16, "layers": 1},
    },
    "lavit": {
        "tokenizer": {
            "heads": 2, "ff": 32, "n_codes": 16, "d_code": 4,
        },
        "heads": 2, "ff": 32,
    },
}  # fmt: skip


def interface(name: str, attention: str = "sdpa", seed: int = 0, **text: Any) -> PreTrainedModel:
    """An interface of 7 x 7 patches in front of a Llama."""
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    tokens = {"pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 2}
    decoder = LlamaConfig(vocab_size=4 + len(WORDS) + 1, **{**sizes, **heads, **tokens, **text})
    settings = {"tower": TOWER, **SETTINGS[name]}
    config = InterfaceConfig(name, settings, decoder, image_token_id=4 + len(WORDS))
    model = made(InterfaceForConditionalGeneration, config, attention, seed)
    if name == "visionlan":
        # Slots are else so much longer than patches that hardly anything else is read.
        with torch.no_grad():
            for weight in model.interface.slot_projection.parameters():
                weight.mul_(0.05)
    if name == "lavit":
        calibrated(model.interface)
    return model


def calibrated(lavit: Lavit) -> None:
    """Sets the thresholds by which patches are kept, on noise."""
    pixels = torch.rand(8, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        patches = lavit.see(pixels)["contrastive"][:, 1:]
    lavit.tokenizer.standardise(patches)
    lavit.tokenizer.calibrate(patches)


def interface_processor(n_tokens: int) -> ProcessorMixin:
    """28 x 28 pixels, and this many visual tokens before the beginning-of-text token."""
    processor: Any = blip2_processor()
    processor.num_query_tokens = n_tokens
    return processor
