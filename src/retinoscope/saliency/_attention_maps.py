"""Maps made from attention weights: the weights themselves, their rollout, their relevancy."""

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

    They show where a row reads, not what of it mattered, and depend on the target only through the
    position that predicts it: two targets at one position have the same map.

    Args:
        run: the run.
        target: what to explain.
        layer: a block; None for the mean of all.
        head: a head; None combines all of them by `heads`.
        heads: "mean" of the heads, or "max", each token's largest weight.
        image: index of the image in the prompt.

    Returns:
        (n,) weights from 0 to 1, averaged over the target's positions; with the text's share a row
        adds up to 1.

    Raises:
        InputError: as `resolve`, or there is no such layer, head, way to combine heads, or image.
        CapabilityError: the family's attention cannot be read.
    """
    if heads not in ("mean", "max"):
        raise InputError(f"expected heads 'mean' or 'max', got {heads!r}")
    goal = resolve(run, target)
    places = list(places_of(goal, image))
    if head is not None and not 0 <= head < run.vlm.n_heads:
        raise InputError(f"expected heads from 0 to {run.vlm.n_heads - 1}, got {head}")
    by_block = []
    for block in layers_in(layer, run.vlm.n_layers, "blocks"):
        rows = goal.run.attention(block, goal.positions)[:, :, places].float()
        if head is not None:
            joined = rows[head]
        else:
            joined = rows.mean(0) if heads == "mean" else rows.amax(0)
        by_block.append(joined.mean(0).cpu())
    which = heads if head is None else head
    values = torch.stack(by_block).mean(0)
    return map_of(goal, image, values, "attention", layer=layer, head=which)


def rollout(run: Run, target: AnyTarget, *, layer: int | None = None, image: int = 0) -> HeatMap:
    """Attention rollout: flow to the target's positions if attention did nothing but mix tokens.

    R = A_l ... A_0 with A = (mean of the heads + 1) / row sum, over all positions; the rows that
    predict the target are read at the visual tokens. Values, MLPs and signs are ignored.

    Args:
        run: the run.
        target: what to explain.
        layer: the last block included; None for all.
        image: index of the image in the prompt.

    Returns:
        (n,) shares from 0 to 1, averaged over the target's positions.

    Raises as `attention` does.

    Source: Abnar and Zuidema 2020 (arXiv 2005.00928), section 3.
    """
    goal = resolve(run, target)
    places = list(places_of(goal, image))
    last = layers_in(run.vlm.n_layers - 1 if layer is None else layer, run.vlm.n_layers, "blocks")
    rows = rollout_rows(goal, last[0])[:, places].mean(0)
    return map_of(goal, image, rows, "rollout", layer=layer)


def rollout_rows(goal: Goal, layer: int) -> Float[Tensor, "row key"]:
    """Returns the target's rows of the rollout up to block `layer`; each adds up to 1."""
    rows = torch.eye(goal.run.n)[list(goal.positions)]
    return rolled_out(rows, goal.attention[: layer + 1])


def chefer(run: Run, target: AnyTarget, *, start: int = 0, image: int = 0) -> HeatMap:
    """Chefer's relevancy: attention weights times their gradients, carried through the blocks.

    R = 1; for each block R <- R + mean over heads of (gradient x weights)+ times R. A decoder has
    one stream of tokens, so only the self-attention rule is needed, and its rows need no
    normalisation. Where a gradient is 0, nothing is added.

    Args:
        run: the run.
        target: what to explain.
        start: the first block included.
        image: index of the image in the prompt.

    Returns:
        (n,) non-negative relevancies, averaged over the target's positions; in the score's units
        times attention, so that maps of different targets have no common scale.

    Raises:
        InputError: as `resolve`, or there is no such block or image.
        CapabilityError: the model does not allow gradients, or none of its attention weights.

    Source: Chefer et al. 2021b (arXiv 2103.15679), section 3, equations 5 and 6.
    """
    goal = resolve(run, target)
    places = list(places_of(goal, image))
    layers_in(start, run.vlm.n_layers, "blocks")
    trace = goal.weights
    relevancy = relevancy_of(trace.weights[start:], trace.gradients[start:], goal.run.n)
    rows = relevancy[list(goal.positions)][:, places].mean(0)
    return map_of(goal, image, rows, "chefer", start=start)
