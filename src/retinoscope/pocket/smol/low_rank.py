"""Low-rank updates of frozen matrices (Hu et al. 2021, LoRA): separate in training, then merged."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

NAMES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""Every matrix of a block."""


class LowRank(nn.Module):
    """`frozen(x) + scale * up(down(x))`; `up` starts at zero.

    `merged` adds up both matrices first: faster for narrow models, whose thin products are slow.
    """

    def __init__(
        self,
        frozen: nn.Linear,
        rank: int,
        scale: float,
        generator: torch.Generator,
        merged: bool = False,
    ) -> None:
        super().__init__()
        self.merged = merged
        self.frozen = (frozen,)  # in a tuple: not a part of this module's parameters
        self.scale = scale
        device = frozen.weight.device
        down = torch.randn(rank, frozen.in_features, generator=generator)
        self.down = nn.Parameter((down * frozen.in_features**-0.5).to(device))
        self.up = nn.Parameter(torch.zeros(frozen.out_features, rank, device=device))

    def forward(self, x: Float[Tensor, "*batch inp"]) -> Float[Tensor, "*batch out"]:
        if self.merged:
            weight = self.frozen[0].weight + self.scale * (self.up @ self.down)
            return F.linear(x, weight, self.frozen[0].bias)
        return self.frozen[0](x) + self.scale * F.linear(F.linear(x, self.down), self.up)


def attach(
    language: nn.Module, rank: int, alpha: float, seed: int, *, merged: bool = False
) -> nn.ModuleDict:
    """Adds an update to every matrix of every block; returns the parameters to train."""
    generator = torch.Generator().manual_seed(seed)
    added = nn.ModuleDict()
    for name, module in list(language.named_modules()):
        for child_name in NAMES:
            child = getattr(module, child_name, None)
            if isinstance(child, nn.Linear):
                update = LowRank(child, rank, alpha / rank, generator, merged)
                setattr(module, child_name, update)
                # Dots separate modules in the names of a state dict.
                added[f"{name}.{child_name}".replace(".", "/")] = update
    return added


@torch.no_grad()
def merge(language: nn.Module, tensors: Mapping[str, Tensor], scale: float) -> None:
    """Adds saved updates ("layers/0/self_attn/q_proj.up", ".down") to the matrices, in place."""
    for key in sorted(tensors):
        path, _, side = key.rpartition(".")
        if side != "up":
            continue
        linear = language.get_submodule(path.replace("/", "."))
        assert isinstance(linear, nn.Linear)
        update = tensors[key].float() @ tensors[f"{path}.down"].float()
        linear.weight += (scale * update).to(linear.weight)
