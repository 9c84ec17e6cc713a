"""A projector: one visual token for each patch, as in LLaVA."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from ._interface import InterfaceTokens, Seen, VisualInterface
from ._tower import TowerShape, build_tower, tower_tokens


class Projector(VisualInterface):
    """Two layers applied to each patch of the tower, without its class token.

    Source: Liu et al. 2023, "Improved Baselines with Visual Instruction Tuning", section 3.
    """

    needs = ("contrastive",)
    leading: ClassVar[int | None] = 0

    def __init__(self, d_model: int, tower: Mapping[str, int], ff: int = 1024) -> None:
        super().__init__()
        self.shape = TowerShape(**tower)
        self.tower = build_tower(self.shape)
        self.n_tokens = self.shape.patches
        self.inner = nn.Sequential(
            nn.LayerNorm(self.shape.width),
            nn.Linear(self.shape.width, ff),
            nn.GELU(),
            nn.LayerNorm(ff),
        )
        self.language_projection = nn.Linear(ff, d_model)

    def see(self, pixels: Float[Tensor, "batch 3 height width"]) -> dict[str, Tensor]:
        return {"contrastive": tower_tokens(self.tower, pixels)}

    def forward(self, seen: Seen, *, origin: bool = False) -> InterfaceTokens:
        embeddings = self.language_projection(self.inner(seen["contrastive"][:, 1:]))
        return InterfaceTokens(embeddings)
