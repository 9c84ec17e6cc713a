"""Copies of a model with random weights, all or some of them."""

from __future__ import annotations

from copy import copy, deepcopy
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .. import encoders
from ..encoders import Encoder, Matcher, TwoTower
from ..engine import VLM, load
from ..errors import CapabilityError
from ._study import seed_of

if TYPE_CHECKING:
    from ._models import Model


def untrained_model(model: Model, seed: int) -> Model:
    """Returns a copy of a model of any kind with random weights; see the functions of each kind."""
    if isinstance(model, VLM):
        return untrained_copy(model, seed)
    if isinstance(model, TwoTower):
        return untrained_two_tower(model, seed)
    if isinstance(model, Matcher):
        return untrained_matcher(model, seed)
    return untrained_encoder(model, seed)


def untrained_copy(vlm: VLM, seed: int = 0) -> VLM:
    """Returns the model as its class initialises it, vision tower included."""
    # Not the bare seed, with which a never trained model may have been made itself.
    fresh = _fresh(vlm.model, seed_of(seed, "untrained"), vlm)
    return load(model=fresh, processor=vlm.processor)


def untrained_encoder(encoder: Encoder, seed: int) -> Encoder:
    """Returns the same architecture with random weights.

    Raises:
        CapabilityError: the encoder cannot be built from its configuration.
    """
    vlm = getattr(encoder, "vlm", None)
    if vlm is not None:
        return encoders.load(untrained_copy(vlm, seed))
    model, with_model = getattr(encoder, "model", None), getattr(encoder, "with_model", None)
    if model is None or with_model is None:
        raise CapabilityError(f"{encoder.name} cannot be rebuilt with random weights")
    return with_model(_fresh(model, seed + 1, next(model.parameters())))


def untrained_two_tower(two: TwoTower, seed: int) -> TwoTower:
    """Returns a contrastive model whose vision tower has random weights; text vectors are kept.

    Raises:
        CapabilityError: the vision tower cannot be built from its configuration.
    """
    fresh: Any = copy(two)
    fresh.encoder = untrained_encoder(two.encoder, seed)
    model: Any = getattr(two, "model", None)
    if model is not None:
        # Locations go through the new model's projection, texts through the old text tower.
        fresh.model = getattr(fresh.encoder, "model")  # noqa: B009
        for part in ("text_model", "text_projection"):
            if hasattr(model, part):
                setattr(fresh.model, part, getattr(model, part))
    return fresh


def untrained_matcher(matcher: Matcher, seed: int) -> Matcher:
    """Returns the same architecture with random weights."""
    fresh = _fresh(matcher.model, seed + 1, next(matcher.model.parameters()))
    return Matcher(fresh, matcher.processor, matcher.name)


def _fresh(model: Any, seed: int, like: Any) -> Any:
    """Returns the model as its class initialises it, without touching torch's random state.

    Args:
        model: the model.
        seed: seed of the weights.
        like: has the device and dtype.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh: Any = type(model)(deepcopy(model.config))
    return fresh.to(like.device, like.dtype).eval()


def random_adapter(vlm: VLM, seed: int = 0) -> VLM:
    """Returns the model with a random projector, each tensor with its own mean and spread; language
    model and vision tower are shared with the original.

    Raises:
        CapabilityError: the model has no separate projector.
    """
    model: Any = vlm.model
    language, tower, _ = _pieces(vlm)
    # The configuration is shared too: the shared blocks read from that object how to attend.
    shared = (language, tower, model.lm_head, model.config)
    drawn = deepcopy(model, {id(part): part for part in shared})
    generator = torch.Generator().manual_seed(seed_of(seed, "random adapter"))
    with torch.no_grad():
        for parameter in drawn.model.multi_modal_projector.parameters():
            noise = torch.randn(parameter.shape, generator=generator).to(parameter)
            spread = parameter.std() if parameter.numel() > 1 else parameter.abs()
            parameter.copy_(parameter.mean() + spread * noise)
    return load(model=drawn.eval(), processor=vlm.processor)


def untrained_language(vlm: VLM, seed: int = 0) -> VLM:
    """Returns the model with a random language model; tower and projector are shared.

    Raises:
        CapabilityError: the model has no separate projector.
    """
    _, tower, projector = _pieces(vlm)
    fresh: Any = untrained_copy(vlm, seed).model
    fresh.model.vision_tower, fresh.model.multi_modal_projector = tower, projector
    return load(model=fresh, processor=vlm.processor)


def _pieces(vlm: VLM) -> tuple[nn.Module, nn.Module, nn.Module]:
    core: Any = getattr(vlm.model, "model", None)
    names = ("language_model", "vision_tower", "multi_modal_projector")
    pieces = [getattr(core, name, None) for name in names]
    if not all(isinstance(piece, nn.Module) for piece in pieces):
        raise CapabilityError(
            f"{vlm.name}: expected separate parts for vision tower, projector and language model, "
            "as in LLaVA: leave these controls out"
        )
    language, tower, projector = pieces
    return language, tower, projector  # type: ignore[return-value]
