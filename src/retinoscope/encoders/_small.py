"""The packaged comparison, and other folders of it: `small:NAME`, `small:NAME/SEED@FOLDER`."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from ..arguments import several
from ..data import ImageSource, open_image
from ..data.scenes import article
from ..errors import CapabilityError, InputError
from ..interfaces import TextTower
from ..models import finite, not_finite
from ..pocket.vocabulary import build_tokenizer
from ..store import fingerprint_json
from ._encoder import TrainingRun, checksum_of
from ._features import Features
from ._places import patch_tokens
from ._tower import TowerEncoder
from ._two_tower import JOINT, TwoTower, checked_texts
from .captions import caption_ids, held_out
from .comparison import ALIASES, OBJECTIVES, Aggregation
from .packed import PackedEncoders
from .small_tower import aggregate, build_tower, image_processor

SMALL = "small:"
"""Prefix of the names of the comparison's encoders."""
WEIGHTS = Path(__file__).parent / "weights"


def small(name: str, enlarge: int = 1) -> TowerEncoder:
    """The tower of one trained encoder.

    Args:
        name: "small:OBJECTIVE" of the packaged ones, or "small:OBJECTIVE/SEED@FOLDER".
        enlarge: see `TowerEncoder`.

    Raises:
        InputError: no such objective, seed or folder.
    """
    packed, weights = _located(name)
    return _tower(packed, weights, name, enlarge)


def small_names(
    folder: str | Path | None = None, objectives: Container[str] | None = None
) -> tuple[str, ...]:
    """The names that `load` accepts for a folder of trained encoders (the packaged ones if None).

    Args:
        objectives: only these; all if None.

    Raises:
        InputError: a folder without encoders.
    """
    packed = PackedEncoders(WEIGHTS if folder is None else Path(folder))
    names = [name for name in packed.names if objectives is None or name in objectives]
    if folder is None:
        return tuple(f"{SMALL}{name}" for name in names)
    return tuple(f"{SMALL}{name}/{seed}@{folder}" for name in names for seed in packed.seeds(name))


def check_unseen(names: Iterable[str], samples: Sequence[Any]) -> None:
    """Refuses scenes on which one of the encoders was trained; for others this is unknown.

    Args:
        names: of encoders.

    Raises:
        InputError: scenes of a training seed, for an encoder of the comparison.
    """
    if any(str(name).startswith(SMALL) for name in several(names, "names of encoders")):
        held_out(samples)


class SmallTwoTower(TwoTower):
    """A contrastive encoder of the comparison, with its text tower.

    A location's vector is the last block's output there after the final norm, from which the
    image's vector is aggregated; for "class" the class token is aggregated, and the patches only
    share its norm.
    """

    locating = "last block and final norm at that location"

    def __init__(self, name: str, enlarge: int = 1) -> None:
        """Raises `CapabilityError` for an objective without texts."""
        packed, weights = _located(name)
        if "text" not in weights:
            raise CapabilityError(
                f"{name}: was trained without texts, so there is no joint space: use "
                "small:contrastive-max"
            )
        self.name = name
        self.encoder = _tower(packed, weights, name, enlarge)
        self.way: Aggregation = OBJECTIVES[_named(name).objective].aggregation
        self.sizes = packed.sizes
        self.texts = TextTower(packed.sizes, len(build_tokenizer())).eval()
        _fill(self.texts, weights["text"], name)

    @property
    def fingerprint(self) -> str:
        return fingerprint_json([self.encoder.fingerprint, self.way, checksum_of((self.texts,))])

    def prompts(self, names: Sequence[str]) -> list[str]:
        return [f"{article(name)} {name}." for name in names]

    @torch.no_grad()
    def text(self, texts: Sequence[str]) -> Float[np.ndarray, "text d"]:
        ids = caption_ids(checked_texts(texts), self.sizes.text_tokens)
        vectors = self.texts(ids)
        if not finite(vectors):
            raise not_finite(self.texts, "the vector of a text", lambda: self.texts(ids))
        return vectors.float().numpy()

    @torch.no_grad()
    def image(self, image: ImageSource) -> Float[np.ndarray, " d"]:
        _, normed = self._normed(open_image(image))
        return aggregate(normed[None], self.way)[0].float().numpy()

    @torch.no_grad()
    def locations(self, image: ImageSource) -> Features:
        layout, normed = self._normed(open_image(image))
        assert layout.grid is not None
        vectors = patch_tokens(normed, layout.grid, JOINT).float().numpy()
        return Features({JOINT: vectors}, layout.boxes, layout.grid, layout.size)

    def _normed(self, image: Image.Image) -> tuple[Any, Tensor]:
        layout, seen, _ = self.encoder.passed(image)
        return layout, self.encoder.tower.post_layernorm(seen[-1][0])


class _SmallName(NamedTuple):
    """The parts of an encoder's name in the comparison; packaged ones have no seed."""

    objective: str
    seed: int | None
    folder: Path


def _named(name: str) -> _SmallName:
    what, _, folder = name.removeprefix(SMALL).partition("@")
    objective, _, seed = what.partition("/")
    if seed and not seed.isdecimal():
        raise InputError(f"expected small:OBJECTIVE/SEED@FOLDER, got {name!r}")
    return _SmallName(
        ALIASES.get(objective, objective),
        int(seed) if seed else None,
        Path(folder) if folder else WEIGHTS,
    )


def _located(name: str) -> tuple[PackedEncoders, dict[str, dict[str, Tensor]]]:
    objective, seed, folder = _named(name)
    packed = PackedEncoders(folder)
    return packed, packed.weights(objective, seed or 0)


def _tower(
    packed: PackedEncoders, weights: Mapping[str, Mapping[str, Tensor]], name: str, enlarge: int
) -> TowerEncoder:
    tower = build_tower(packed.sizes).eval()
    _fill(tower, weights["tower"], name)
    encoder = TowerEncoder(tower, image_processor(packed.sizes), name, enlarge)
    objective, seed, _ = _named(name)
    encoder.training = None if seed is None else TrainingRun(objective, seed)
    return encoder


def _fill(module: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    try:
        module.load_state_dict(dict(state))
    except RuntimeError as error:
        raise InputError(f"{name}: expected weights that fit, got {error}") from error
