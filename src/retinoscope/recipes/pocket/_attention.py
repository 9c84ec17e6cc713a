"""Attention for training on a CPU, with the softmax in the precision of the products.

The library's eager attention casts the scores to float32 and back, which at this size costs more
than the matrix products. Only training uses this; it is not saved with a model.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

TRAINING_ATTENTION = "retinoscope_training"


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    with torch.autocast(query.device.type, enabled=False):
        scores = (query * scale).to(value.dtype) @ key.to(value.dtype).transpose(-1, -2)
        if attention_mask is not None:
            scores += attention_mask.to(scores.dtype)
        mixed = scores.softmax(-1) @ value
    return mixed.transpose(1, 2).contiguous(), None


AttentionInterface.register(TRAINING_ATTENTION, _attention)
