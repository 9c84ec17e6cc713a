"""Insertion and deletion curves: does a map's order of tokens matter to the model?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float

from .. import arguments
from ..engine import Ablate, Condition, Run
from ..engine.fill import Fill
from ..errors import InputError
from ._common import fill_of, places_of, tokens_at
from ._target import AnyTarget, Goal, resolve

EPSILON = 1e-3
"""Of a probability, or of a logit: with less between the whole and the blank image there is nothing
to divide."""


@dataclass(frozen=True, eq=False)
class Curves:
    """The target's score as tokens are deleted, or inserted, in a map's order.

    Attributes:
        fractions: (steps + 1,) shares of the image's tokens, from 0 to 1.
        deleted: (steps + 1,) the target with that share of the highest tokens ablated.
        inserted: (steps + 1,) the target with all but that share of the highest tokens ablated.
        deletion, insertion: the areas under the normalised curves, (f - f_blank) / (f_whole -
            f_blank): a good map has a low deletion and a high insertion. NaN where undefined.
        reason: why they are undefined, or None.
    """

    fractions: Float[np.ndarray, " step"] = field(repr=False)
    deleted: Float[np.ndarray, " step"] = field(repr=False)
    inserted: Float[np.ndarray, " step"] = field(repr=False)
    deletion: float
    insertion: float
    reason: str | None = None


def insertion_deletion(
    run: Run,
    target: AnyTarget,
    values: Sequence[Float[np.ndarray, " token"]],
    *,
    fill: Fill | None = None,
    steps: int = 10,
    seed: int = 0,
    image: int = 0,
) -> list[Curves]:
    """The curves of several maps of one target; all their token sets are one batch of the engine.

    Tokens go whole, so that a step is a number of tokens, and none twice: what is measured is a
    forward pass of the model itself, on what it would read without these tokens. Equal values are
    put in a seeded random order, the same for all maps; a constant map is thus a random order,
    which is also what chance means here.

    The target is its probability (of several tokens that of all of them), or the logit or
    difference of logits where its score is one.

    Args:
        values: of each map the (n,) values of the image's tokens.
        fill: what tokens become; None is the mean of this run's visual tokens.
        steps: how many steps from the whole image to the blank one.
        seed: of the order of equal values.
        image: which of the prompt's images, from 0.

    Raises:
        InputError: what `resolve` raises, another number of values than of tokens, a value that is
            not finite, no steps or more than tokens, no fill, or no such image.

    Source: Petsiuk et al. 2018 (arXiv 1806.07421), section 4.3, at tokens in place of pixels.
    """
    goal = resolve(run, target)
    places = places_of(goal, image)
    n = len(places)
    arguments.whole(steps, "steps", 1, n)
    arguments.seed(seed)
    counts = np.round(np.linspace(0, n, steps + 1)).astype(int)
    orders = [_order(one, n, seed) for one in arguments.several(values, "values of tokens")]
    deleted = [[_set(order[:count]) for count in counts] for order in orders]
    inserted = [[_set(order[count:]) for count in counts] for order in orders]
    # Both ends of all curves are the same two sets.
    every = list(dict.fromkeys(one for curves in (deleted, inserted) for c in curves for one in c))
    found = dict(zip(every, _targets(goal, every, places, fill_of(goal, fill)), strict=True))
    return [
        _curves(counts / n, *(np.array([found[one] for one in curve]) for curve in pair))
        for pair in zip(deleted, inserted, strict=True)
    ]


def _order(values: Float[np.ndarray, " token"], n: int, seed: int) -> np.ndarray:
    """Tokens, the highest value first."""
    given = np.asarray(values, np.float64)
    if given.shape != (n,) or not np.isfinite(given).all():
        raise InputError(f"expected {n} finite values, one per token, got {given.shape}")
    return np.lexsort((np.random.default_rng(seed).permutation(n), -given))


def _set(tokens: np.ndarray) -> frozenset[int]:
    return frozenset(tokens.tolist())


def _targets(
    goal: Goal, sets: Sequence[frozenset[int]], places: Sequence[int], filling: Fill
) -> list[float]:
    def without(run: Run) -> list[Condition]:
        return [
            Ablate(tokens_at(run, sorted(places[i] for i in one)), filling) if one else ()
            for one in sets
        ]

    scores = goal.under(without)
    return (scores if goal.score == "logit" else torch.exp(scores)).tolist()


def _curves(fractions: np.ndarray, deleted: np.ndarray, inserted: np.ndarray) -> Curves:
    whole, blank = deleted[0], deleted[-1]
    if abs(whole - blank) < EPSILON:
        reason = "the target is the same without any of the image"
        return Curves(fractions, deleted, inserted, math.nan, math.nan, reason)
    areas = [
        float(((curve[1:] + curve[:-1]) / 2 - blank) @ np.diff(fractions)) / (whole - blank)
        for curve in (deleted, inserted)
    ]
    return Curves(fractions, deleted, inserted, *areas)
