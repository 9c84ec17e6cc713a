"""`load`, `load_contrastive`, `load_matching`: models by name, folder, Hub id, or as objects."""

from __future__ import annotations

import os
from typing import Any

from transformers import PreTrainedModel

from .. import arguments, engine
from ..engine import VLM
from ..errors import CapabilityError, InputError
from ..models import is_vlm, open_matching, open_tower
from ._encoder import Encoder
from ._matcher import Matcher
from ._small import SMALL, SmallTwoTower, small
from ._timm import PREFIX as TIMM
from ._timm import TimmEncoder
from ._tower import TowerEncoder
from ._two_tower import HuggingFaceTwoTower, TwoTower
from ._vlm import VlmEncoder

Spec = str | os.PathLike[str] | VLM | Encoder | tuple[PreTrainedModel, Any]


def load(spec: Spec, *, enlarge: int = 1) -> Encoder:
    """Loads the frozen encoder that `spec` names.

    Args:
        spec: a VLM or what `retinoscope.load` takes ("pocket", "planted:one-hot-patch"); a Hub id
            or a folder of a vision-only or contrastive model of transformers; "timm:NAME";
            "small:OBJECTIVE" of the packaged comparison, or "small:OBJECTIVE/SEED@FOLDER" of one
            that you trained; a pair (model, processor) of transformers objects; or an encoder,
            which is returned.
        enlarge: show a tower of transformers images with this many times the pixels along each
            side, with interpolated position embeddings: more and finer locations.

    Raises:
        InputError: what cannot be loaded, or `enlarge` below 1.
        CapabilityError: a model whose tokens have no places in the image.
        MissingExtraError: "timm:NAME" without timm.
    """
    encoder = _load(spec, enlarge)
    if enlarge != 1 and not isinstance(encoder, TowerEncoder):
        raise CapabilityError(
            f"{encoder.name}: accepts images of its own size only: enlarge is for vision towers of "
            "transformers"
        )
    return encoder


def _load(spec: Spec, enlarge: int) -> Encoder:
    if isinstance(spec, Encoder):
        if enlarge != 1:
            raise InputError("expected no enlarge for a loaded encoder: pass it when loading")
        return spec
    if isinstance(spec, VLM):
        return VlmEncoder(spec)
    if isinstance(spec, tuple):
        model, processor = spec
        if is_vlm(model.config):
            return VlmEncoder(engine.load(model=model, processor=processor))
        return TowerEncoder(model, processor, _name(model), enlarge)
    name = _named(spec)
    if name.startswith(TIMM):
        return TimmEncoder(name)
    if name.startswith(SMALL):
        return small(name, enlarge)
    if engine.is_packaged(name):
        return VlmEncoder(engine.load(name))
    opened = open_tower(name)
    if opened is None:
        return VlmEncoder(engine.load(name))
    model, images, _ = opened
    return TowerEncoder(model, images, name, enlarge)


def load_contrastive(
    spec: str | os.PathLike[str] | tuple[PreTrainedModel, Any], *, enlarge: int = 1
) -> TwoTower:
    """Loads the frozen contrastive model that `spec` names.

    Args:
        spec: a Hub id or a folder of CLIP or SigLIP; "small:contrastive-max" and similar; or a pair
            (model, processor) of transformers objects, the processor with its tokenizer.
        enlarge: see `load`.

    Raises:
        InputError: what cannot be loaded, or `enlarge` below 1.
        CapabilityError: a model without a joint space of locations and texts.
    """
    if isinstance(spec, tuple):
        model, processor = spec
        tokenizer = getattr(processor, "tokenizer", None)
        if tokenizer is None:
            raise InputError("expected a processor with a tokenizer, got one without: use CLIP's")
        return HuggingFaceTwoTower(model, processor, tokenizer, _name(model), enlarge)
    name = _named(spec)
    if name.startswith(SMALL):
        return SmallTwoTower(name, enlarge)
    opened = None
    if not engine.is_packaged(name) and not name.startswith(TIMM):
        opened = open_tower(name)
    if opened is None or opened[2] is None:
        raise CapabilityError(
            f"{name}: has no joint space of images and texts: give a CLIP, a SigLIP or "
            "small:contrastive-max"
        )
    model, images, tokenizer = opened
    return HuggingFaceTwoTower(model, images, tokenizer, name, enlarge)


def load_matching(spec: str | os.PathLike[str] | tuple[PreTrainedModel, Any]) -> Matcher:
    """Loads the frozen image-text matching model that `spec` names.

    Args:
        spec: a Hub id or a folder of BLIP for image-text matching, or a pair (model, processor) of
            transformers objects, the processor with its tokenizer.

    Raises:
        InputError: what cannot be loaded.
        CapabilityError: another model.
    """
    if isinstance(spec, tuple):
        model, processor = spec
        return Matcher(model, processor, _name(model))
    name = _named(spec)
    opened = None
    if not engine.is_packaged(name) and not name.startswith((TIMM, SMALL)):
        opened = open_matching(name)
    if opened is None:
        raise CapabilityError(
            f"{name}: does not score whether a text matches an image: give BLIP for image-text "
            "matching"
        )
    return Matcher(*opened, name)


def _name(model: PreTrainedModel) -> str:
    return str(getattr(model.config, "name_or_path", "") or type(model).__name__)


def _named(spec: object) -> str:
    arguments.path(spec, "a name, a folder, or a pair (model, processor)")
    return os.fspath(spec)  # type: ignore[arg-type]
