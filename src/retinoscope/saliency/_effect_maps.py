"""Maps of exact effects: tokens are hidden or ablated one at a time, in windows or at random.

All conditions of a map are one batch of the engine, which computes only what they can affect.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .. import arguments
from ..engine import Ablate, Condition, Knockout, Run
from ..engine.fill import Fill
from ..errors import InputError
from ..models import EncodedImage
from ..tokens import RunLike
from ._common import fill_of, map_of, named, painted, places_of, slice_of, tokens_at
from ._heat_map import HeatMap
from ._target import AnyTarget, Goal, resolve

Readers = Literal["predicting", "text"]
Where = Literal["tokens", "pixels"]
_FEWEST = 8


def knockout_effect(
    run: Run, target: AnyTarget, *, readers: Readers = "predicting", image: int = 0
) -> HeatMap:
    """The exact drop of the score when one visual token is hidden.

    Args:
        run: the run.
        target: what to explain.
        readers: the positions that can no longer read the token, in any block: "predicting", those
            that predict the target (the path through the question's tokens stays open); or "text",
            all positions after the image.
        image: index of the image in the prompt.

    Returns:
        (n,) the score minus the score without the edges of that token.

    Raises:
        InputError: as `resolve`, unknown `readers`, there is no such image, or no text after the
            image.
        CapabilityError: the model's attention cannot be masked.

    Source: Geva et al. 2023 (arXiv 2304.14767), with single tokens as sources.
    """
    if readers not in ("predicting", "text"):
        raise InputError(f"expected readers 'predicting' or 'text', got {readers!r}")
    goal = resolve(run, target)
    places = places_of(goal, image)

    def hidden(part: Run) -> list[Condition]:
        if readers == "text":
            rows = range(places[-1] + 1, part.n)
        else:
            rows = [place for place in goal.positions if place < part.n]
        readers_of = tokens_at(part, rows)
        return [Knockout(tokens_at(part, [place]), readers_of) for place in places]

    effects = _drops(goal, hidden)
    return map_of(goal, image, effects, "knockout-effect", readers=readers)


def ablation_effect(
    run: Run, target: AnyTarget, *, fill: Fill | None = None, image: int = 0
) -> HeatMap:
    """The exact drop of the score when one visual token is ablated.

    Args:
        run: the run.
        target: what to explain.
        fill: the replacement of the token; None for the mean of this run's visual tokens.
        image: index of the image in the prompt.

    Returns:
        (n,) the score minus the score without that token. Information that several tokens share
        counts little here: one of them suffices.

    Raises:
        InputError: as `resolve`, `fill` is not a fill, or there is no such image.
    """
    goal = resolve(run, target)
    filling, places = fill_of(goal, fill), places_of(goal, image)
    effects = _drops(goal, lambda part: [_without(part, [place], filling) for place in places])
    return map_of(goal, image, effects, "ablation-effect", fill=named(fill))


def ablation_estimate(
    run: Run, target: AnyTarget, *, fill: Fill | None = None, image: int = 0
) -> HeatMap:
    """Attribution patching: `ablation_effect` to first order, from one pass.

    `attribution_patching` computes the same for a logit, with its rank correlation with exact
    effects.

    Args:
        run: the run.
        target: what to explain.
        fill: the replacement of a token; None for the mean of this run's visual tokens.
        image: index of the image in the prompt.

    Returns:
        (n,) (embedding - fill) times gradient: the score minus the score without that token, if the
        model were linear in between.

    Raises:
        InputError: as `resolve`, `fill` is not a fill, or there is no such image.
        CapabilityError: the model does not allow gradients.

    Source: Nanda 2023, "Attribution Patching"; Syed et al. 2023 (arXiv 2310.10348), section 3.
    """
    goal = resolve(run, target)
    filling, chosen = fill_of(goal, fill), slice_of(goal, image)
    gradient = goal.gradient
    change = gradient.embeddings - filling.values(goal.run, gradient.places).to(gradient.embeddings)
    values = (change.float() * gradient.here.gradients[0].float()).sum(-1)
    return map_of(goal, image, values[chosen], "attribution-patching", fill=named(fill))


def rise(
    run: Run,
    target: AnyTarget,
    *,
    masks: int = 128,
    keep: float = 0.5,
    cells: int | None = None,
    fill: Fill | None = None,
    seed: int = 0,
    image: int = 0,
) -> HeatMap:
    """RISE on visual tokens: the mean score of random masks that keep a token, minus that of all.

    A mask is a coarse grid of cells, each kept or not, laid over the tokens with a random shift.
    RISE's own masks are smooth and dim pixels; here a token is either kept or ablated. If tokens
    have no grid, each is drawn separately.

    Args:
        run: the run.
        target: what to explain.
        masks: number of masks, at least 8.
        keep: probability that a cell is kept.
        cells: cells along a side; None for a third of the grid's longer side.
        fill: the replacement of a token; None for the mean of this run's visual tokens.
        seed: seed of the masks.
        image: index of the image in the prompt.

    Returns:
        (n,) the mean score over the masks that keep the token, minus that over all masks; 0 for all
        tokens if the score does not change.

    Raises:
        InputError: as `resolve`, too few masks, `keep` is not between 0 and 1, there is no such
            image, or no mask keeps some token.

    Source: Petsiuk et al. 2018 (arXiv 1806.07421), section 3.
    """
    arguments.whole(masks, "masks", _FEWEST)
    arguments.seed(seed)
    if cells is not None:
        arguments.whole(cells, "cells along a side", 1)
    if not 0 < keep < 1:
        raise InputError(f"expected keep, a share, between 0 and 1, got {keep}")
    goal = resolve(run, target)
    filling, places = fill_of(goal, fill), places_of(goal, image)
    kept = _masks(goal, image, masks, keep, cells, seed)
    never = np.flatnonzero(~kept.any(0))
    if never.size:
        raise InputError(
            f"expected every token to be kept by some of {masks} masks, but token {never[0]} is "
            "not: take more masks"
        )
    positions = np.array(places)

    def masked(part: Run) -> list[Condition]:
        return [_without(part, positions[~row].tolist(), filling) for row in kept]

    scores = goal.under(masked)
    weights = torch.from_numpy(kept).double()
    values = (scores @ weights) / weights.sum(0) - scores.mean()
    settings = {"masks": masks, "keep": keep, "seed": seed, "fill": named(fill)}
    return map_of(goal, image, values, "rise", **settings)


def _masks(
    goal: Goal, image: int, count: int, keep: float, cells: int | None, seed: int
) -> Bool[np.ndarray, "mask token"]:
    layout = goal.origin.images[image].layout
    rng = np.random.default_rng(seed)
    if layout.grid is None or (layout.rows < 0).any():
        return rng.random((count, len(layout))) < keep
    side = max(2, math.ceil(max(layout.grid) / 3)) if cells is None else cells
    size = math.ceil(max(layout.grid) / side)
    coarse = rng.random((count, side + 1, side + 1)) < keep
    shift = rng.integers(0, size, (2, count, 1))
    rows = (layout.rows + shift[0]) // size
    columns = (layout.columns + shift[1]) // size
    return coarse[np.arange(count)[:, None], rows, columns]


def occlusion(
    run: Run,
    target: AnyTarget,
    *,
    window: int = 2,
    where: Where = "tokens",
    fill: Fill | None = None,
    image: int = 0,
) -> HeatMap:
    """The drop of the score when a window of the image is hidden; the window slides by one token.

    Args:
        run: the run.
        target: what to explain.
        window: side of the window in tokens of the grid; if tokens have no grid, the number of
            consecutive tokens.
        where: "tokens": their embeddings are ablated. "pixels": the part of the image covered by
            the window's boxes is painted in the image's mean colour, and the image is encoded
            again, which also removes its traces in other tokens. A window of padding covers
            nothing.
        fill: the replacement of tokens; None for the mean of this run's visual tokens.
        image: index of the image in the prompt.

    Returns:
        (n,) the mean, over the windows that contain a token, of the score minus the score without
        the window.

    Raises:
        InputError: as `resolve`, the window does not fit, `where` is unknown, a fill is given for
            pixels, there is no such image, or no token has a box.

    Source: Zeiler and Fergus 2013 (arXiv 1311.2901), section 4.2.
    """
    if where not in ("tokens", "pixels"):
        raise InputError(f"expected where 'tokens' or 'pixels', got {where!r}")
    if where == "pixels" and fill is not None:
        raise InputError("expected no fill for pixels, which become the image's mean colour")
    goal = resolve(run, target)
    places = np.array(places_of(goal, image))
    windows = _windows(goal, image, window)
    if where == "tokens":
        filling = fill_of(goal, fill)
        drops = _drops(
            goal,
            lambda part: [_without(part, places[tokens].tolist(), filling) for tokens in windows],
        )
    else:
        drops = _drops_of_painted(goal, image, places.tolist(), windows)
    total, count = np.zeros(len(places)), np.zeros(len(places))
    for tokens, drop in zip(windows, drops.tolist(), strict=True):
        total[tokens] += drop
        count[tokens] += 1
    settings = {"window": window, "where": where}
    if where == "tokens":
        settings["fill"] = named(fill)
    return map_of(goal, image, total / count, "occlusion", **settings)


def _drops_of_painted(
    goal: Goal, image: int, places: list[int], windows: Sequence[np.ndarray]
) -> Float[Tensor, " window"]:
    """Returns the drop of the score with the pixels of each window painted over."""
    boxes, whole = goal.origin.images[image].boxes, goal.origin.prompt.images[image]
    if np.isnan(boxes[:, 0]).all():
        raise InputError(
            "expected visual tokens with a place in the image to paint over, got none: use "
            "where='tokens'"
        )
    vlm = goal.origin.vlm
    encoded = vlm.encode_whole([painted(whole, boxes[tokens]) for tokens in windows])
    return _drops(
        goal, lambda part: [_without(part, places, _Encoded(places, image)) for image in encoded]
    )


def _windows(goal: Goal, image: int, window: int) -> list[np.ndarray]:
    """Returns the tokens of each window, as indices; every token is in at least one."""
    layout = goal.origin.images[image].layout
    grid = layout.grid
    if grid is None or (layout.rows < 0).any():
        most = len(layout)
        starts = range(most - window + 1) if 1 <= window <= most else range(0)
        windows = [np.arange(start, start + window) for start in starts]
    else:
        most = min(grid)
        steps = [range(size - window + 1) if 1 <= window <= most else range(0) for size in grid]
        windows = [
            np.flatnonzero(
                (layout.rows >= row)
                & (layout.rows < row + window)
                & (layout.columns >= column)
                & (layout.columns < column + window)
            )
            for row in steps[0]
            for column in steps[1]
        ]
    if not windows:
        raise InputError(f"expected a window from 1 to {most} tokens, got {window}")
    return windows


@dataclass(frozen=True, eq=False)
class _Encoded(Fill):
    """A fill with another image's visual tokens, and all else that the decoder receives of it."""

    places: Sequence[int]
    image: EncodedImage

    def values(self, run: RunLike, positions: tuple[int, ...]) -> Float[Tensor, "token d_model"]:
        return self.image.embeddings[self._chosen(positions)].to(run.embeddings)

    def added(
        self, run: RunLike, positions: tuple[int, ...]
    ) -> tuple[Float[Tensor, "token d_model"], ...]:
        return tuple(part[self._chosen(positions)] for part in self.image.added)

    def _chosen(self, positions: tuple[int, ...]) -> list[int]:
        index = {place: number for number, place in enumerate(self.places)}
        return [index[place] for place in positions]


def _without(run: Run, places: Sequence[int], filling: Fill) -> Condition:
    return Ablate(tokens_at(run, places), filling) if len(places) else ()


def _drops(goal: Goal, conditions) -> Float[Tensor, " condition"]:
    """Returns the score minus the score under each condition, both computed on the same path."""
    scores = goal.under(lambda run: [(), *conditions(run)])
    return scores[0] - scores[1:]
