"""A refiner of one linear layer: kind and colour of each patch; connected patches are an object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import ndimage
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from ..data.scenes import COLORS, KINDS
from ..errors import InputError
from ._boxes import patch_boxes, patch_shares
from ._refiner import Refined, Refiner, SeenObjects
from ._refiner_errors import RefinerErrors
from ._tower import TowerShape


@dataclass(frozen=True, eq=False)
class PatchGuess:
    """Probabilities at each patch; entry 0 is the ground."""

    kinds: Float[Tensor, "batch patch kind"]
    colors: Float[Tensor, "batch patch color"]


class DenseRefiner(Refiner):
    """Finds objects of drawn scenes.

    Args:
        shape: of the tower.
        tower: settings of a `CLIPVisionConfig`: the refiner looks with a tower of its own, at its
            last hidden states. By default it uses the interface's tower, so that objects add
            structure but no information.
        read: "patches" gives the same features, one token for each patch, in place of objects.
        withheld, false: shares of objects that are hidden, and of others that are added, in images
            of their own choice; see `RefinerErrors`.
        most: the largest number of objects.
    """

    def __init__(
        self,
        shape: TowerShape,
        tower: Mapping[str, Any] | None = None,
        read: Literal["objects", "patches"] = "objects",
        withheld: float = 0.0,
        false: float = 0.0,
        most: int = 8,
    ) -> None:
        super().__init__()
        if read not in ("objects", "patches") or (read == "patches" and (withheld or false)):
            raise InputError(
                f"expected read='objects', or 'patches' without errors, got {read!r}: change it"
            )
        self.read, self.most, self._shown = read, most, shape.grid
        self.tower: Any = None if tower is None else CLIPVisionModel(CLIPVisionConfig(**tower))
        self.d_feature = shape.width if tower is None else self.tower.config.hidden_size
        self.grid: int = (
            shape.grid
            if tower is None
            else self.tower.config.image_size // self.tower.config.patch_size
        )
        self.norm = nn.LayerNorm(self.d_feature)
        self.kind = nn.Linear(self.d_feature, 1 + len(KINDS))
        self.color = nn.Linear(self.d_feature, 1 + len(COLORS))
        self.errors = (
            RefinerErrors(withheld, false, self.d_feature, len(COLORS))
            if withheld or false
            else None
        )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{color} {kind}" for kind in KINDS for color in COLORS)

    @torch.no_grad()
    def forward(
        self,
        pixels: Float[Tensor, "batch 3 height width"],
        tokens: Float[Tensor, "batch token width"],
    ) -> Refined:
        features = self.features(pixels, tokens)
        guess = self._guess(features)
        objects = self._objects(features, guess)
        if self.errors is not None:
            objects = self.errors(objects, pixels)
        return Refined(
            objects, objects if self.read == "objects" else self._patches(features, guess)
        )

    @torch.no_grad()
    def found(
        self,
        pixels: Float[Tensor, "batch 3 height width"],
        tokens: Float[Tensor, "batch token width"],
    ) -> SeenObjects:
        """The objects without errors on demand."""
        features = self.features(pixels, tokens)
        return self._objects(features, self._guess(features))

    @torch.no_grad()
    def features(
        self,
        pixels: Float[Tensor, "batch 3 height width"],
        tokens: Float[Tensor, "batch token width"],
    ) -> Float[Tensor, "batch patch d_feature"]:
        """What the linear layers read."""
        if self.tower is None:
            return tokens[:, 1:]
        return self.tower(pixel_values=pixels, output_hidden_states=True).hidden_states[-1][:, 1:]

    def logits(
        self, features: Float[Tensor, "batch patch d_feature"]
    ) -> tuple[Float[Tensor, "batch patch kind"], Float[Tensor, "batch patch color"]]:
        """Logits of kind and colour; entry 0 is the ground."""
        normed = self.norm(features)
        return self.kind(normed), self.color(normed)

    def _guess(self, features: Float[Tensor, "batch patch d_feature"]) -> PatchGuess:
        """Kind and colour at each patch."""
        kinds, colors = self.logits(features)
        return PatchGuess(kinds.float().softmax(-1), colors.float().softmax(-1))

    def _objects(
        self, features: Float[Tensor, "batch patch d_feature"], guess: PatchGuess
    ) -> SeenObjects:
        """Connected patches of one kind, the surest first."""
        kinds, sure = guess.kinds.argmax(-1), guess.kinds.amax(-1)
        grids = kinds.unflatten(-1, (self.grid, self.grid)).cpu().numpy()
        chosen = np.zeros((len(grids), self.most, self.grid**2), dtype=bool)
        for image, (grid, confident) in enumerate(zip(grids, sure.cpu().numpy(), strict=True)):
            found = regions(grid)
            found.sort(key=lambda mask: -float(confident[mask].mean()))
            for number, mask in enumerate(found[: self.most]):
                chosen[image, number] = mask
        inside = torch.from_numpy(chosen).to(features.device)
        mask = inside.any(-1)
        shares = inside / inside.sum(-1, keepdim=True).clamp(min=1)
        kind = kinds.gather(1, inside.int().argmax(-1)) - 1
        color = (shares @ guess.colors[..., 1:]).argmax(-1)
        return SeenObjects(
            features=shares.to(features.dtype) @ features,
            boxes=self._boxes(inside),
            scores=(shares @ sure[..., None])[..., 0],
            tags=(kind * len(COLORS) + color).masked_fill(~mask, -1),
            patches=shares @ self._shown_in(features.device),
            mask=mask,
            false=torch.zeros_like(mask),
        )

    def _patches(
        self, features: Float[Tensor, "batch patch d_feature"], guess: PatchGuess
    ) -> SeenObjects:
        n, device = len(features), features.device
        there = torch.ones(features.shape[:2], dtype=torch.bool, device=device)
        return SeenObjects(
            features=features,
            boxes=patch_boxes(self.grid).to(device).expand(n, -1, -1),
            scores=1 - guess.kinds[..., 0],
            tags=there.long() - 2,
            patches=self._shown_in(device).expand(n, -1, -1),
            mask=there,
            false=~there,
        )

    def _boxes(self, inside: Bool[Tensor, "batch object patch"]) -> Float[Tensor, "batch object 4"]:
        """The smallest box around the patches of each object; 0 without any."""
        cells = patch_boxes(self.grid).to(inside.device)
        low = torch.where(inside[..., None], cells[:, :2], 2.0).amin(-2)
        high = torch.where(inside[..., None], cells[:, 2:], -1.0).amax(-2)
        return torch.cat([low, high], -1) * inside.any(-1, keepdim=True)

    def _shown_in(self, device: torch.device) -> Float[Tensor, "patch shown"]:
        """Share of each patch of the refiner in each patch of the interface's tower."""
        return patch_shares(patch_boxes(self.grid), self._shown).to(device)


def regions(labels: Int[np.ndarray, "row column"]) -> list[Bool[np.ndarray, " patch"]]:
    """Each connected region of one label; patches connect at their sides, and 0 is the ground.

    Two objects of one kind are two regions unless they touch. Regions of one kind and colour would
    tell more of these apart, but large objects fall into more pieces.
    """
    found = []
    for label in np.unique(labels[labels > 0]):
        numbered: Any = ndimage.label(labels == label)
        found += [(numbered[0] == number).ravel() for number in range(1, numbered[1] + 1)]
    return found
