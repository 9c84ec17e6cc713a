"""What every visual interface offers: frozen towers that see, and a trained part that reads them.

An interface works in two steps. `see` runs what is frozen (towers, refiners) and gives what was
seen as named tensors; training computes these once and keeps them. `forward` is what is trained: it
turns what was seen into the visual tokens that a language model receives.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ._tower import TowerShape

Settings = Mapping[str, Any]
"""Plain JSON values from which an interface is built."""

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
        origin: (batch, token, patch) share of each token's attention that went to each patch; rows
            sum to at most 1. None unless asked for, and for tokens of patches.
        codes: (batch, token) number in the codebook, for discrete tokens.
        home: (batch, token) the patch that each token stands for, -1 for none; None unless images
            have different ones.
    """

    embeddings: Float[Tensor, "batch token d_model"]
    mask: Bool[Tensor, "batch token"] | None = None
    origin: Float[Tensor, "batch token patch"] | None = None
    codes: Int[Tensor, "batch token"] | None = None
    home: Int[Tensor, "batch token"] | None = None

    @property
    def there(self) -> Bool[Tensor, "batch token"]:
        """True for each token that is there."""
        if self.mask is not None:
            return self.mask
        return torch.ones(
            self.embeddings.shape[:2], dtype=torch.bool, device=self.embeddings.device
        )


class VisualInterface(nn.Module, ABC):
    """Turns images into the visual tokens of a language model.

    A subclass is built from its settings (plain JSON values) and the language model's width, and is
    registered in `INTERFACES` by name. What is frozen is a child named in `frozen`; it has no
    gradient and is always in evaluation mode. `frozen` and `needs` may depend on the settings.

    Attributes:
        system, settings: what it was built from.
        shape: of the tower whose patches the tokens come from.
        n_tokens: the number of visual tokens per image, at most.
        leading: the number of tokens before those of the patches, which are in reading order; None
            if tokens are queries, which belong to no patch, or `varies`.
        varies: whether images have different numbers of tokens; each then has a `home`.
        frozen: the names of the children that are not trained.
        shared: child -> the part of `Towers` that it is, or "reader" for the packaged one; such
            children are stored once for all interfaces.
        needs: the names in `Seen` that `forward` reads.
        last: name of the linear layer that gives the visual tokens; its input has unit variance.
        adding: ends of the names of the weights whose products are added to queries.
    """

    system: str
    settings: Settings
    shape: TowerShape
    n_tokens: int
    leading: ClassVar[int | None] = None
    varies: ClassVar[bool] = False
    frozen: tuple[str, ...] = ("tower",)
    shared: Mapping[str, str] = MappingProxyType({"tower": "contrastive"})
    needs: tuple[str, ...]
    last: ClassVar[str] = "language_projection"
    adding: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def see(self, pixels: Float[Tensor, "batch 3 height width"]) -> dict[str, Tensor]:
        """Runs the frozen parts on pixels from -1 to 1."""

    @abstractmethod
    def forward(self, seen: Seen, *, origin: bool = False) -> InterfaceTokens:
        """The visual tokens; deterministic in evaluation mode.

        Args:
            origin: also say where queries looked.
        """

    def encode(
        self, pixels: Float[Tensor, "batch 3 height width"], *, origin: bool = False
    ) -> InterfaceTokens:
        """The visual tokens of images; pixels from -1 to 1."""
        with torch.no_grad():
            seen = self.see(pixels)
        return self(seen, origin=origin)

    def train(self, mode: bool = True) -> VisualInterface:
        """Sets the mode of what is trained; frozen parts stay in evaluation mode."""
        super().train(mode)
        for name in self.frozen:
            self.get_submodule(name).eval()
        return self

    @torch.no_grad()
    def start_queries(self) -> None:
        """Starts what is added to queries at zero, before any training.

        Added at full size and normalised afterwards, it makes all queries alike before the first
        step; alike queries get the same gradients and stay alike.
        """
        for name, weight in self.trained_parameters().items():
            if name.endswith(self.adding):
                weight.zero_()

    def start(self, d_word: float) -> None:
        """Scales the last layer so that visual tokens start as long as words.

        Args:
            d_word: root mean square of the entries of the language model's word embeddings.
        """
        start_layer(self.get_submodule(self.last), d_word)

    def trained_parameters(self) -> dict[str, nn.Parameter]:
        """The trained parameters by name: all but those of the frozen children."""
        starts = tuple(f"{name}." for name in self.frozen)
        return {
            name: parameter
            for name, parameter in self.named_parameters()
            if not name.startswith(starts)
        }

    def own_state(self) -> dict[str, Tensor]:
        """The state of everything but the shared towers."""
        starts = tuple(f"{name}." for name in self.shared)
        return {
            key: value for key, value in self.state_dict().items() if not key.startswith(starts)
        }

    @torch.no_grad()
    def weights_without_text(self) -> dict[str, Tensor]:
        """Weights by name for the same interface without a text side, which gives the same tokens.

        It does not have all of these names.
        """
        return self.state_dict()

    @property
    def size(self) -> int:
        """The number of trained parameters."""
        return sum(parameter.numel() for parameter in self.trained_parameters().values())


def start_layer(layer: nn.Module, d_word: float) -> None:
    """Draws a linear layer that turns inputs of unit variance into outputs as long as words."""
    assert isinstance(layer, nn.Linear)
    nn.init.normal_(layer.weight, std=d_word * layer.in_features**-0.5)
    nn.init.zeros_(layer.bias)
