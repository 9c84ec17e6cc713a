"""Copies of a model with random weights, all or a part of them; the rest is as it was."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..engine import load
from ..errors import CapabilityError
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


def random_adapter(vlm: VLM, seed: int = 0) -> VLM:
    """The model with its projector's weights drawn anew, each tensor with the mean and the spread
    that it has; language model and vision tower are shared with the original.

    Raises:
        CapabilityError: a model without a separate projector.
    """
    model: Any = vlm.model
    language, tower, _ = _pieces(vlm)
    # The configuration too: the shared blocks read how to attend from that very object.
    shared = (language, tower, model.lm_head, model.config)
    copy = deepcopy(model, {id(part): part for part in shared})
    generator = torch.Generator().manual_seed(seed_of(seed, "random adapter"))
    with torch.no_grad():
        for parameter in copy.model.multi_modal_projector.parameters():
            noise = torch.randn(parameter.shape, generator=generator).to(parameter)
            spread = parameter.std() if parameter.numel() > 1 else parameter.abs()
            parameter.copy_(parameter.mean() + spread * noise)
    return load(model=copy.eval(), processor=vlm.processor)


def untrained_language(vlm: VLM, seed: int = 0) -> VLM:
    """The model with a language model of random weights; tower and projector are shared.

    Raises:
        CapabilityError: a model without a separate projector.
    """
    _, tower, projector = _pieces(vlm)
    fresh: Any = untrained_copy(vlm, seed).model
    fresh.model.vision_tower, fresh.model.multi_modal_projector = tower, projector
    return load(model=fresh, processor=vlm.processor)


def _pieces(vlm: VLM) -> tuple[nn.Module, nn.Module, nn.Module]:
    core: Any = getattr(vlm.model, "model", None)
    names = ("language_model", "vision_tower", "multi_modal_projector")
    found = [getattr(core, name, None) for name in names]
    if not all(isinstance(part, nn.Module) for part in found):
        raise CapabilityError(
            f"{vlm.name}: expected a vision tower, a projector and a language model as parts of "
            "their own, as LLaVA has them: leave these controls out"
        )
    language, tower, projector = found
    return language, tower, projector  # type: ignore[return-value]
