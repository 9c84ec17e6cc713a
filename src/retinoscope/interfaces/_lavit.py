"""LaVIT as a visual interface: as many visual tokens as an image needs."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ._interface import InterfaceTokens, Seen, VisualInterface
from ._mae_decoder import MaeDecoder
from ._tower import TowerShape, build_tower, tower_tokens
from ._towers_file import TowersShape
from .codes import DynamicTokenizer, Merger, TokenizerShape, kept_first


class Lavit(VisualInterface):
    """The patches that a frozen selector keeps, with the dropped ones merged into them.

    To understand an image, a language model reads continuous states of a merger of its own, not
    codes, as in LaVIT: Jin et al. 2024 (arXiv 2309.04669), section 3.2. Each token stands for one
    patch, its home, and has read the dropped patches too.

    Args:
        d_model: width of the language model.
        tower: sizes of the tower.
        tokenizer: further sizes of the tokenizer, `TokenizerShape`.
        share: of the patches that are kept, on average over the images of the calibration.
        heads, ff, layers: of the merger.
    """

    needs = ("contrastive",)
    frozen: tuple[str, ...] = ("tower", "tokenizer", "painter")
    varies: ClassVar[bool] = True

    def __init__(
        self,
        d_model: int,
        tower: Mapping[str, int],
        tokenizer: Mapping[str, int] = MappingProxyType({}),
        share: float = 1 / 3,
        heads: int = 4,
        ff: int = 256,
        layers: int = 2,
    ) -> None:
        super().__init__()
        self.shape = TowerShape(**tower)
        self.tower = build_tower(self.shape)
        self.tokenizer = DynamicTokenizer(
            TokenizerShape(self.shape.patches, self.shape.width, **tokenizer)
        )
        self.share = share
        self.painter = MaeDecoder(TowersShape(**tower))
        self.n_tokens = self.shape.patches
        self.merger = Merger(self.shape.width, heads, ff, layers)
        self.language_projection = nn.Linear(self.shape.width, d_model)

    def see(self, pixels: Float[Tensor, "batch 3 height width"]) -> dict[str, Tensor]:
        return {"contrastive": tower_tokens(self.tower, pixels)}

    @torch.no_grad()
    def paint(
        self, features: Float[Tensor, "batch patch width"]
    ) -> Float[Tensor, "batch 3 height width"]:
        """A picture of what features of all patches say, in pixels from -1 to 1."""
        whole = torch.cat([torch.zeros_like(features[:, :1]), features], 1)
        kept = torch.arange(self.shape.patches, device=features.device)
        pixels = self.painter(whole, kept.expand(len(features), -1))
        size, patch = self.shape.image, self.shape.patch
        return F.fold(pixels.mT, size, patch, stride=patch).clamp(-1, 1)

    def forward(self, seen: Seen, *, origin: bool = False) -> InterfaceTokens:
        """The visual tokens, those that are there first; "keep" in `seen` replaces the selector."""
        patches = seen["contrastive"][:, 1:]
        with torch.no_grad():
            keep = seen["keep"] if "keep" in seen else self.tokenizer.select(patches, self.share)
            standard = self.tokenizer.standard(patches).to(patches.dtype)
        home, mask = kept_first(keep)
        merged = self.merger(standard, keep.to(standard.dtype))
        kept = merged.gather(1, home[..., None].expand(-1, -1, merged.shape[-1]))
        return InterfaceTokens(
            self.language_projection(kept), mask, home=home.masked_fill(~mask, -1)
        )
