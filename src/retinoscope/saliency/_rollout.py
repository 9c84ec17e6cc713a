"""Attention multiplied through the blocks of any transformer: rollout and Chefer's relevancy."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def rolled_out(
    rows: Float[Tensor, "row token"], weights: Sequence[Float[Tensor, "query key"]]
) -> Float[Tensor, "row token"]:
    """Multiplies rows back through all blocks, each averaged with the identity.

    Args:
        rows: weights read after the last block; each row adds up to 1.
        weights: for each block the mean of its heads, the first block first.

    Returns:
        `rows` times A_l ... A_0, A = (weights + 1) / row sum; each row adds up to 1.

    Source: Abnar and Zuidema 2020 (arXiv 2005.00928), section 3.
    """
    for block in reversed(weights):
        with_itself = block + torch.eye(len(block))
        rows = rows @ (with_itself / with_itself.sum(-1, keepdim=True))
    return rows


def positive_part(
    weights: Float[Tensor, "head query key"], gradients: Float[Tensor, "head query key"]
) -> Float[Tensor, "query key"]:
    """Returns the mean over heads of (gradient x weights)+, float32 on the CPU."""
    return (weights.float() * gradients.float()).clamp(min=0).mean(0).cpu()


def relevancy_of(
    weights: Sequence[Float[Tensor, "head query key"]],
    gradients: Sequence[Float[Tensor, "head query key"]],
    n: int,
) -> Float[Tensor, "query key"]:
    """Computes R = 1, then for each block R <- R + (gradient x weights)+ R.

    Args:
        weights, gradients: of each block, the first block first.
        n: number of tokens.

    Source: Chefer et al. 2021b (arXiv 2103.15679), section 3, equations 5 and 6.
    """
    relevancy = torch.eye(n)
    for block, gradient in zip(weights, gradients, strict=True):
        relevancy = relevancy + positive_part(block, gradient) @ relevancy
    return relevancy
