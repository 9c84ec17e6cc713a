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
"""Minimum difference, of a probability or a logit, between the whole and the blank image; below it
the curves are not normalised."""


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
    """Computes curves of several maps of one target, with all their token sets in one batch.

    Tokens are removed whole, a number of them per step and none twice: what is measured is a
    forward pass of the model itself on its input without these tokens. Equal values are put in a
    seeded random order, the same for all maps; a constant map is thus a random order, which is also
    the chance level here.

    The target is its probability (of several tokens, that of all of them), or the logit or
    difference of logits if that is its score.

    Args:
        run: the run.
        target: what the maps explain.
        values: for each map, the (n,) values of the image's tokens.
        fill: the replacement of tokens; None for the mean of this run's visual tokens.
        steps: number of steps from the whole image to the blank one.
        seed: seed of the order of equal values.
        image: index of the image in the prompt.

    Raises:
        InputError: as `resolve`, the numbers of values and tokens differ, a value is not finite,
            `steps` is not between 1 and the number of tokens, `fill` is not a fill, or there is no
            such image.

    Source: Petsiuk et al. 2018 (arXiv 1806.07421), section 4.3, with tokens in place of pixels.
    """
    goal = resolve(run, target)
    places = places_of(goal, image)
    n = len(places)
    arguments.whole(steps, "steps", 1, n)
    arguments.seed(seed)
    counts = np.round(np.linspace(0, n, steps + 1)).astype(int)
    orders = [_order(given, n, seed) for given in arguments.several(values, "values of tokens")]
    deleted = [[_set(order[:count]) for count in counts] for order in orders]
    inserted = [[_set(order[count:]) for count in counts] for order in orders]
    # Both ends of all curves are the same two sets.
    distinct = list(
        dict.fromkeys(
            tokens for curves in (deleted, inserted) for curve in curves for tokens in curve
        )
    )
    targets = _targets(goal, distinct, places, fill_of(goal, fill))
    score_of = dict(zip(distinct, targets, strict=True))
    return [
        _curves(counts / n, *(np.array([score_of[tokens] for tokens in curve]) for curve in pair))
        for pair in zip(deleted, inserted, strict=True)
    ]


def _order(values: Float[np.ndarray, " token"], n: int, seed: int) -> np.ndarray:
    """Returns tokens sorted by value, highest first."""
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
            Ablate(tokens_at(run, sorted(places[i] for i in tokens)), filling) if tokens else ()
            for tokens in sets
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
