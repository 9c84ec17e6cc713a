"""The library's own attention masks for a prompt with bidirectional parts."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from ..errors import CapabilityError
from ._adapter import Adapter

Masks = Tensor | dict[str, Tensor]


def library_masks(adapter: Adapter, types: Int[Tensor, " token"], start: int) -> Masks:
    """Rows from position `start` on of the masks that `generate` makes for the whole sequence.

    They are taken from the library, whose versions differ in how windows and bidirectional blocks
    interact.

    Args:
        types: one token type per position, from the family's processor.

    Returns:
        (1, 1, row, key) in the form that the attention implementation takes; one per kind of block
        if the decoder has several.

    Raises:
        CapabilityError: an attention implementation without such masks.
    """
    model: Any = adapter.model
    n = len(types)
    masks = model.create_masks_for_generate(
        config=model.config,
        inputs_embeds=torch.empty(1, n, 1, dtype=adapter.dtype, device=adapter.device),
        attention_mask=None,
        past_key_values=None,
        position_ids=None,
        token_type_ids=types[None].to(adapter.device),
        is_first_iteration=True,
    )
    if isinstance(masks, dict):
        return {kind: _rows(adapter, mask, n, start) for kind, mask in masks.items()}
    return _rows(adapter, masks, n, start)


def _rows(adapter: Adapter, mask: Any, n: int, start: int) -> Tensor:
    if mask is None:
        # None means causal attention, but some modules that receive it read it otherwise.
        mask = torch.ones(n, n, dtype=torch.bool, device=adapter.device).tril()[None, None]
    if not isinstance(mask, Tensor) or mask.ndim != 4:
        raise CapabilityError(
            f"{adapter.attention_implementation} takes no mask per edge, which this model's "
            "bidirectional attention needs: load it with attention='sdpa' or 'eager'"
        )
    return mask[:, :, start:]
