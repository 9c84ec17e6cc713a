"""A projector, and behind its patches the letters that a reader read on a sign."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ._interface import InterfaceTokens, Seen, VisualInterface, start_layer
from ._tower import TowerShape, build_tower, tower_tokens
from .reader import WINDOW, ReaderShape, WordReader, WordReading, crop_boards


class VisionLan(VisualInterface):
    """One token for each patch of the tower and, where there is a sign, one for each of its slots.

    A linear layer finds the patches of a sign, a window around them goes to a frozen reader, and
    what its slots read stands behind the patches, as if the language model had read the sign. Wang
    et al. 2021 (VisionLAN, arXiv 2108.09661) have no language model; this is our construction. A
    slot's home is the patch in which its attention peaks.

    Args:
        d_model: width of the language model.
        tower: sizes of the tower.
        ff: width between the projector's two layers.
        reader: sizes of the reader, `ReaderShape`.
    """

    needs = ("contrastive", "board", "board_at", "board_there")
    frozen: tuple[str, ...] = ("tower", "finder", "reader")
    shared: Mapping[str, str] = MappingProxyType({"tower": "contrastive", "reader": "reader"})
    varies: ClassVar[bool] = True

    def __init__(
        self,
        d_model: int,
        tower: Mapping[str, int],
        ff: int = 1024,
        reader: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        self.shape = TowerShape(**tower)
        self.tower = build_tower(self.shape)
        self.finder = nn.Linear(self.shape.width, 1)
        self.reader = WordReader(ReaderShape(**reader))
        self.n_tokens = self.shape.patches + self.reader.shape.slots
        self.inner = nn.Sequential(
            nn.LayerNorm(self.shape.width),
            nn.Linear(self.shape.width, ff),
            nn.GELU(),
            nn.LayerNorm(ff),
        )
        self.language_projection = nn.Linear(ff, d_model)
        self.slot_norm = nn.LayerNorm(self.reader.shape.d)
        self.slot_projection = nn.Linear(self.reader.shape.d, d_model)

    def see(self, pixels: Float[Tensor, "batch 3 height width"]) -> dict[str, Tensor]:
        tokens = tower_tokens(self.tower, pixels)
        share = self.finder(tokens[:, 1:])[..., 0].sigmoid()
        there = share > 0.5
        weight = (share * there)[..., None]
        middle = self._middles(weight) * weight
        at = middle.sum(1) / weight.sum(1).clamp(min=1e-6)
        shape = self.reader.shape
        board = crop_boards(pixels, at, (shape.height, shape.width))
        return {
            "contrastive": tokens,
            "board": board,
            "board_at": at,
            "board_there": there.any(1),
        }

    def forward(self, seen: Seen, *, origin: bool = False) -> InterfaceTokens:
        patches = self.language_projection(self.inner(seen["contrastive"][:, 1:]))
        with torch.no_grad():
            reading = self.reader.reading(self.reader.see(seen["board"]))
        slots = self.slot_projection(self.slot_norm(reading.slots))
        there = seen["board_there"][:, None]
        whole = torch.ones(patches.shape[:2], dtype=torch.bool, device=patches.device)
        mask = torch.cat([whole, there.expand(-1, slots.shape[1])], 1)
        home = torch.cat(
            [
                torch.arange(patches.shape[1], device=patches.device).expand(len(patches), -1),
                self._homes(reading, seen["board_at"]).masked_fill(~there, -1),
            ],
            1,
        )
        return InterfaceTokens(torch.cat([patches, slots], 1), mask, home=home)

    def start(self, d_word: float) -> None:
        super().start(d_word)
        start_layer(self.slot_projection, d_word)

    def _middles(self, like: Tensor) -> Float[Tensor, "patch 2"]:
        """x and y of the middle of each patch, in pixels."""
        edge = (torch.arange(self.shape.grid, device=like.device) + 0.5) * self.shape.patch
        y, x = torch.meshgrid(edge, edge, indexing="ij")
        return torch.stack([x, y], -1).flatten(0, 1).to(like.dtype)

    def _homes(
        self, reading: WordReading, at: Float[Tensor, "batch 2"]
    ) -> Int[Tensor, "batch slot"]:
        """The patch in which each slot's attention peaks."""
        column = reading.attention.argmax(-1) + 0.5
        x = at[:, :1] + (column / reading.attention.shape[-1] - 0.5) * WINDOW[0]
        last = self.shape.grid - 1
        across = (x / self.shape.patch).long().clamp(0, last)
        return (at[:, 1:] / self.shape.patch).long().clamp(0, last) * self.shape.grid + across
