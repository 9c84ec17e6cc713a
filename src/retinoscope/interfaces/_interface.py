"""What every visual interface offers: frozen towers that see, and a trained part that reads them.

An interface works in two steps. `see` runs what is frozen (towers, refiners) and gives what was
seen as named tensors; training computes these once and keeps them. `forward` is what is trained: it
turns what was seen into the visual tokens that a language model receives.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

Seen = Mapping[str, Tensor]
"""Name -> what a frozen part saw, one row per image: "contrastive" and "mae" are
(batch, 1 + patches, width) tokens with the class token first, "objects" (batch, object, d) with
"objects_mask" (batch, object), True where there is an object."""


@dataclass(frozen=True, eq=False)
class InterfaceTokens:
    """Visual tokens, and where they come from.

    Attributes:
        embeddings: (batch, token, d_model) as the language model receives them.
        mask: True for each token that is there; None if all are.
        home: (token,) index of the patch that a token belongs to, -1 for none; None if no token
            belongs to a patch.
        origin: (batch, token, patch) share of each token's attention that went to each patch; rows
            sum to at most 1. None for tokens with a home.
        codes: (batch, token) number in the codebook, for discrete tokens.
    """

    embeddings: Float[Tensor, "batch token d_model"]
    mask: Bool[Tensor, "batch token"] | None = None
    home: Int[Tensor, " token"] | None = None
    origin: Float[Tensor, "batch token patch"] | None = None
    codes: Int[Tensor, "batch token"] | None = None


class VisualInterface(nn.Module, ABC):
    """Turns images into the visual tokens of a language model.

    A subclass is built from its settings (plain JSON values) and the language model's width, and is
    registered in `INTERFACES` by name. What is frozen is a child named in `frozen`; it has no
    gradient and is always in evaluation mode.

    Attributes:
        n_tokens: the number of visual tokens per image, at most.
        frozen: the names of the children that are not trained.
        needs: the names in `Seen` that `forward` reads.
    """

    n_tokens: int
    frozen: tuple[str, ...] = ()
    needs: tuple[str, ...]

    @abstractmethod
    def see(self, pixels: Float[Tensor, "batch 3 height width"]) -> dict[str, Tensor]:
        """Runs the frozen parts on pixels from -1 to 1."""

    @abstractmethod
    def forward(self, seen: Seen) -> InterfaceTokens:
        """The visual tokens; deterministic in evaluation mode."""

    def encode(self, pixels: Float[Tensor, "batch 3 height width"]) -> InterfaceTokens:
        """The visual tokens of images; pixels from -1 to 1."""
        with torch.no_grad():
            seen = self.see(pixels)
        return self(seen)

    def train(self, mode: bool = True) -> VisualInterface:
        """Sets the mode of what is trained."""
        super().train(mode)
        for name in self.frozen:
            self.get_submodule(name).eval()
        return self

    def trained(self) -> dict[str, nn.Parameter]:
        """The trained parameters by name: all but those of the frozen children."""
        starts = tuple(f"{name}." for name in self.frozen)
        return {
            name: parameter
            for name, parameter in self.named_parameters()
            if not name.startswith(starts)
        }

    @property
    def size(self) -> int:
        """The number of trained parameters."""
        return sum(parameter.numel() for parameter in self.trained().values())


Settings = Mapping[str, Any]
