"""A copy of a model with random weights: the same architecture, tokenizer and image processor."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch

from ..engine import load
from ._study import seed_of

if TYPE_CHECKING:
    from ..engine import VLM


def untrained_copy(vlm: VLM, seed: int = 0) -> VLM:
    """The model as its class initialises it from its configuration, vision tower included.

    Torch's own random state is left as it was.
    """
    model = vlm.model
    with torch.random.fork_rng(devices=[]):
        # Not the bare seed: a model that was never trained may have been made with just that.
        torch.manual_seed(seed_of(seed, "untrained"))
        fresh: Any = type(model)(deepcopy(model.config))
    fresh = fresh.to(vlm.device, vlm.dtype).eval()
    return load(model=fresh, processor=vlm.processor)
