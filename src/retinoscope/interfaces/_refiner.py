"""Visual refiners: what stands between a tower and queries that read objects instead of patches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ..errors import InputError
from ._boxes import D_BOX, sinusoidal
from ._tower import TowerShape

BINS = 12
"""Steps of a coordinate where it is written as a word."""


@dataclass(frozen=True, eq=False)
class SeenObjects:
    """The objects of each image, padded.

    Attributes:
        features: of each object.
        boxes: x0, y0, x1, y1 in shares of the image.
        scores: confidence, 0 to 1.
        tags: index in the refiner's `names`; -1 where there is no object.
        patches: share of the object in each patch of the tower; rows of objects sum to 1.
        mask: True where there is an object.
        false: True for objects that were added on purpose.
    """

    features: Float[Tensor, "batch object d_feature"]
    boxes: Float[Tensor, "batch object 4"]
    scores: Float[Tensor, "batch object"]
    tags: Int[Tensor, "batch object"]
    patches: Float[Tensor, "batch object patch"]
    mask: Bool[Tensor, "batch object"]
    false: Bool[Tensor, "batch object"]

    def tokens(self) -> Float[Tensor, "batch object d_object"]:
        """Features, sinusoidal box and score of each object; 0 where there is none."""
        parts = (self.features, sinusoidal(self.boxes), self.scores[..., None])
        joined = torch.cat([part.to(self.features.dtype) for part in parts], -1)
        return joined * self.mask[..., None]

    def phrases(self) -> Float[Tensor, "batch object 5"]:
        """Tag and box of each object, the box in steps of a twelfth; -1 where there is none."""
        steps = (self.boxes * BINS).floor().clamp(0, BINS - 1)
        phrases = torch.cat([self.tags[..., None].to(steps.dtype), steps], -1)
        return phrases.masked_fill(~self.mask[..., None], -1.0)


@dataclass(frozen=True, eq=False)
class Refined:
    """What a refiner found, and what the queries read of it (usually the same)."""

    objects: SeenObjects
    read: SeenObjects


class Refiner(nn.Module, ABC):
    """Finds the objects of images. It is frozen wherever an interface uses it.

    Attributes:
        d_feature: width of an object's features.
    """

    d_feature: int

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """What tags stand for."""

    @property
    def d_object(self) -> int:
        """Width of an object's token."""
        return self.d_feature + D_BOX + 1

    @abstractmethod
    def forward(
        self,
        pixels: Float[Tensor, "batch 3 height width"],
        tokens: Float[Tensor, "batch token width"],
    ) -> Refined:
        """The objects of images.

        Args:
            pixels: from -1 to 1.
            tokens: of the tower, class token first.
        """


REFINERS = {
    "regions": ("_dense_refiner", "DenseRefiner"),
    "detector": ("_detector_refiner", "DetectorRefiner"),
}
"""Name -> (module, class)."""


def build_refiner(settings: Mapping[str, Any], shape: TowerShape) -> Refiner:
    """An untrained refiner.

    Args:
        settings: "name", from `REFINERS`, and what its class takes, as plain JSON values.
        shape: of the tower.

    Raises:
        InputError: no such refiner, or settings that it does not know.
    """
    options = dict(settings)
    name = options.pop("name", None)
    if name not in REFINERS:
        raise InputError(f"expected a refiner of {', '.join(REFINERS)}, got {name!r}: change it")
    module, kind = REFINERS[name]
    made = getattr(import_module(f".{module}", __package__), kind)
    try:
        return made(shape, **options)
    except TypeError as error:
        raise InputError(f"expected settings of the refiner {name}, got {error}") from error
