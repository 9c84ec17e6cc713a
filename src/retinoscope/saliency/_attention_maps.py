"""Maps made of attention weights: one row of them, their rollout, their relevancy."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ..engine import Run
from ..errors import InputError
from ._common import layers_in, map_of, places_of
from ._heat_map import HeatMap
from ._rollout import relevancy_of, rolled_out
from ._target import AnyTarget, Goal, resolve

Heads = Literal["mean", "max"]


def attention(
    run: Run,
    target: AnyTarget,
    *,
    layer: int | None = None,
    head: int | None = None,
    heads: Heads = "mean",
    image: int = 0,
) -> HeatMap:
    """Attention weights from the positions that predict the target to the visual tokens.

    They say where a row reads, not what of it mattered, and know the target only through the
    position at which it is predicted: two targets at one position have one map.

    Args:
        layer: a block; None is the mean of all.
        head: a head; None joins all of them by `heads`.
        heads: the mean of the heads, or of each token the largest.
        image: which of the prompt's images, from 0.

    Returns:
        (n,) weights from 0 to 1, the mean of the target's positions; with the text's share a row
        adds up to 1.

    Raises:
        InputError: what `resolve` raises, or no such layer, head, way to join heads, or image.
        CapabilityError: a family whose attention cannot be read.
    """
    if heads not in ("mean", "max"):
        raise InputError(f"expected heads 'mean' or 'max', got {heads!r}")
    goal = resolve(run, target)
    places = list(places_of(goal, image))
    if head is not None and not 0 <= head < run.vlm.n_heads:
        raise InputError(f"expected heads from 0 to {run.vlm.n_heads - 1}, got {head}")
    found = []
    for block in layers_in(layer, run.vlm.n_layers, "blocks"):
        rows = goal.run.attention(block, goal.positions)[:, :, places].float()
        if head is not None:
            joined = rows[head]
        else:
            joined = rows.mean(0) if heads == "mean" else rows.amax(0)
        found.append(joined.mean(0).cpu())
    which = heads if head is None else head
    return map_of(goal, image, torch.stack(found).mean(0), "attention", layer=layer, head=which)


def rollout(run: Run, target: AnyTarget, *, layer: int | None = None, image: int = 0) -> HeatMap:
    """Attention rollout: what reaches the target's positions if attention only mixed tokens.

    R = A_l ... A_0 with A = (mean of the heads + 1) / row sum, over all positions; the rows that
    predict the target are read at the visual tokens. Values, MLPs and signs are left out.

    Args:
        layer: the last block that counts; None is the last of all.
        image: which of the prompt's images, from 0.

    Returns:
        (n,) shares from 0 to 1, the mean of the target's positions.

    Raises as `attention` does.

    Source: Abnar and Zuidema 2020 (arXiv 2005.00928), section 3.
    """
    goal = resolve(run, target)
    places = list(places_of(goal, image))
    last = layers_in(run.vlm.n_layers - 1 if layer is None else layer, run.vlm.n_layers, "blocks")
    rows = rollout_rows(goal, last[0])[:, places].mean(0)
    return map_of(goal, image, rows, "rollout", layer=layer)


def rollout_rows(goal: Goal, layer: int) -> Float[Tensor, "row key"]:
    """The target's rows of the rollout up to block `layer`; each adds up to 1."""
    rows = torch.eye(goal.run.n)[list(goal.positions)]
    return rolled_out(rows, goal.attention[: layer + 1])


def chefer(run: Run, target: AnyTarget, *, start: int = 0, image: int = 0) -> HeatMap:
    """Chefer's relevancy: attention weights times their gradients, carried through the blocks.

    R = 1; for each block R <- R + mean over heads of (gradient x weights)+ times R. A decoder has
    one stream of tokens, so only the self-attention rule is needed, and its rows need no
    normalisation. Where a gradient is 0 nothing is added.

    Args:
        start: the first block that counts.
        image: which of the prompt's images, from 0.

    Returns:
        (n,) relevancies from 0 up, the mean of the target's positions; in the score's units times
        attention, so that maps of different targets have no common scale.

    Raises:
        InputError: what `resolve` raises, or no such block or image.
        CapabilityError: a model that does not allow gradients, or none to its attention weights.

    Source: Chefer et al. 2021b (arXiv 2103.15679), section 3, equations 5 and 6.
    """
    goal = resolve(run, target)
    places = list(places_of(goal, image))
    layers_in(start, run.vlm.n_layers, "blocks")
    trace = goal.weights
    relevancy = relevancy_of(trace.weights[start:], trace.gradients[start:], goal.run.n)
    rows = relevancy[list(goal.positions)][:, places].mean(0)
    return map_of(goal, image, rows, "chefer", start=start)
