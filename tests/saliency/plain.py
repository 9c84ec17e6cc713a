"""A target's score by the model's own forward pass and torch's autograd, without retinoscope."""

from __future__ import annotations

from typing import Any

from torch import Tensor

import retinoscope as rs


def plain_score(vlm: rs.VLM, embeds: Tensor, ids: list[int], score: str) -> Tensor:
    """Of tokens behind each other: `embeds` (n, d_model) ends where the last is predicted."""
    model: Any = vlm.model
    logits = model(inputs_embeds=embeds[None]).logits[0, -len(ids) :].float()
    rows = logits if score == "logit" else logits.log_softmax(-1)
    return sum((rows[i, index] for i, index in enumerate(ids)), rows.new_zeros(()))
