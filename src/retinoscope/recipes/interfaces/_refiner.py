"""The dense refiner's training: kind and colour of each patch, by two linear layers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F
from transformers import LlavaForConditionalGeneration

from ...errors import InputError
from ...interfaces import DenseRefiner, Lyrics, RefinerErrors, to_pixels, tower_tokens
from ...pocket import folder
from ..pocket import Report, Stage, optimise
from ..pocket._bank import AMBIGUOUS, Bank, draw_bank
from ._world import OPTIONS, TRAIN_SEED

POCKET_TOWER = {
    "image_size": 144,
    "patch_size": 12,
    "hidden_size": 192,
    "intermediate_size": 576,
    "num_hidden_layers": 6,
    "num_attention_heads": 6,
}
"""Settings of pocket's vision tower, as `DenseRefiner` takes them."""

_BATCH = 64
_PRESENT = 0.1
"""An object names a patch from this share of its pixels on: a small one seldom fills a quarter."""


_HEAD = Stage(steps=500, batch=64, lr=3e-3, warmup=50, weight_decay=0.0)


@dataclass(frozen=True)
class RefinerRecipe:
    """How the two linear layers are trained, on the first `scenes` of a bank.

    `ground` is the weight of patches without an object: four in five are such.
    """

    head: Stage = _HEAD
    scenes: int = 4000
    ground: float = 0.3
    seed: int = 0


def find_objects(interface: Lyrics, ground: Any) -> None:
    """Trains or restores the refiner of an arm on the first scenes of its `Ground`.

    The scenes are drawn again: labels of small objects need patches of which they cover little, and
    a refiner with a tower of its own has other patches.
    """
    refiner, n = interface.refiner, min(RefinerRecipe().scenes, len(ground.bank))
    if not isinstance(refiner, DenseRefiner):
        raise InputError(f"expected a dense refiner, got {type(refiner).__name__}: train it alone")
    patch = interface.shape.image // refiner.grid
    bank = draw_bank(ground.work, n, TRAIN_SEED, patch, ground.report, OPTIONS, _PRESENT)
    train_refiner(interface, bank, work=ground.work, report=ground.report)


def train_refiner(
    interface: Lyrics,
    bank: Bank,
    *,
    recipe: RefinerRecipe | None = None,
    work: Path,
    report: Report,
) -> None:
    """Trains the interface's dense refiner in place, or restores it from `work`.

    Interfaces whose refiners look with the same tower share one checkpoint. A refiner with a tower
    of its own gets pocket's; one that adds false objects is given its donors.

    Args:
        interface: with its tower in place.
        bank: scenes with labels for each patch of the refiner.
        recipe: length of the training.
        work: folder for the checkpoint.
        report: called with the progress.

    Raises:
        InputError: the bank's labels are for other patches, or the refiner is not dense.
    """
    recipe = recipe or RefinerRecipe()
    refiner = interface.refiner
    if not isinstance(refiner, DenseRefiner):
        raise InputError(f"expected a dense refiner, got {type(refiner).__name__}: train it alone")
    if bank.kinds.shape[1] != refiner.grid:
        raise InputError(
            f"expected labels of {refiner.grid} x {refiner.grid} patches, got "
            f"{bank.kinds.shape[1]} x {bank.kinds.shape[2]}: draw the bank with such patches"
        )
    if refiner.tower is not None:
        refiner.tower.load_state_dict(_pocket_tower())
    work.mkdir(parents=True, exist_ok=True)
    _train_head(interface, refiner, bank, recipe, work, report)
    interface.refiner.requires_grad_(False)
    interface.eval()
    if refiner.errors is not None and refiner.errors.added:
        _give_donors(interface, refiner, refiner.errors, bank)


def _train_head(
    interface: Lyrics,
    refiner: DenseRefiner,
    bank: Bank,
    recipe: RefinerRecipe,
    work: Path,
    report: Report,
) -> None:
    n = min(recipe.scenes, len(bank))

    @cache
    def features() -> Float[Tensor, "n patch d_feature"]:
        starts = range(0, n, _BATCH)
        return torch.cat([_features(interface, bank, i, min(n, i + _BATCH)) for i in starts])

    kinds, colors = (
        torch.from_numpy(labels[:n].astype(np.int64)).flatten(1)
        for labels in (bank.kinds, bank.colors)
    )

    def loss_at(rng: np.random.Generator) -> Tensor:
        rows = torch.from_numpy(rng.choice(n, min(recipe.head.batch, n), replace=False))
        guessed = refiner.logits(features()[rows].float())
        parts = zip(guessed, (kinds[rows], colors[rows]), strict=True)
        return torch.stack([_patch_loss(*part, recipe.ground) for part in parts]).sum()

    name = f"refiner-{_digest(_features(interface, bank, 0, min(8, n)), kinds[:8], recipe)}"
    heads = {"norm": refiner.norm, "kind": refiner.kind, "color": refiner.color}
    for module in heads.values():
        module.requires_grad_(True)
    optimise(name, recipe.head, heads, loss_at, seed=recipe.seed, work=work, report=report)


@torch.no_grad()
def _give_donors(
    interface: Lyrics, refiner: DenseRefiner, errors: RefinerErrors, bank: Bank
) -> None:
    """Fills the donors of false objects with those found in the first scenes."""
    n, found = 0, []
    for start in range(0, len(bank), _BATCH):
        pixels = to_pixels(bank.images[start : start + _BATCH])
        objects = refiner.found(pixels, tower_tokens(interface.tower, pixels))
        found.append(objects)
        n += int(objects.mask.sum())
        if n >= len(errors.tags):
            break
    errors.fill(found)


@torch.no_grad()
def _pocket_tower() -> dict[str, Tensor]:
    """The weights of pocket's vision tower."""
    model = LlavaForConditionalGeneration.from_pretrained(folder("pocket"), dtype=torch.float32)
    return model.model.vision_tower.state_dict()


def _patch_loss(
    logits: Float[Tensor, "batch patch label"], labels: Int[Tensor, "batch patch"], ground: float
) -> Float[Tensor, ""]:
    weight = torch.ones(logits.shape[-1])
    weight[0] = ground
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), weight, ignore_index=AMBIGUOUS)


@torch.no_grad()
def _features(
    interface: Lyrics, bank: Bank, start: int, stop: int
) -> Float[Tensor, "batch patch d_feature"]:
    """What the linear layers read of some scenes, in half precision."""
    interface.eval()
    pixels = to_pixels(bank.images[start:stop])
    refiner = interface.refiner
    assert isinstance(refiner, DenseRefiner)
    return refiner.features(pixels, tower_tokens(interface.tower, pixels)).half()


def _digest(features: Tensor, labels: Tensor, recipe: RefinerRecipe) -> str:
    """What tells this training from others, in a few letters."""
    told = json.dumps(asdict(recipe)).encode()
    parts = (features.numpy().tobytes(), labels.numpy().tobytes(), told)
    return hashlib.sha256(b"".join(parts)).hexdigest()[:12]
