"""What is chosen by looking is judged on other images; what is looked for in many places is tested
as often.

The largest of several estimates is too large, and its own interval too short and in the wrong
place. `cross_fitted` chooses on one half of the images and judges on the other, both ways round.
More folds would be worse: then most folds choose on nearly the same images, and their estimates go
up and down together (`benchmarks/coverage.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from retinoscope.arguments import checked
from retinoscope.errors import InputError

from .. import arguments


@checked
def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """P values corrected for how many there are (Holm 1979, Scand. J. Stat. 6:65): the chance that
    any of them is below a limit is at most the limit, whatever they have to do with each other.

    None and NaN stay what they are and count as no test.

    Raises:
        InputError: a p value outside 0 to 1.
    """
    known = {i: p for i, p in enumerate(p_values) if p is not None and not math.isnan(p)}
    for index, p in known.items():
        if not 0 <= p <= 1:
            raise InputError(f"p_values[{index}] is {p}; expected 0 to 1")
    found = list(p_values)
    so_far = 0.0
    for place, index in enumerate(sorted(known, key=known.__getitem__)):
        so_far = max(so_far, min(1.0, (len(known) - place) * known[index]))
        found[index] = so_far
    return found


@checked
def simultaneous_level(n: int, level: float = 0.95) -> float:
    """The level of each of `n` intervals with which all of them hold together at `level`
    (Bonferroni); for the band of a curve."""
    if n < 1:
        raise InputError(f"expected at least one interval, got {n}")
    return 1 - (1 - level) / n


@checked
def half_of(names: Sequence[str], seed: int = 0) -> dict[str, int]:
    """0 or 1 for each different name: two halves of the images, at random and always the same.

    Raises:
        InputError: a seed below 0.
    """
    arguments.seed(seed)
    unique = sorted(set(names))
    order = np.random.default_rng(seed).permutation(len(unique))
    return {unique[place]: index % 2 for index, place in enumerate(order.tolist())}


@dataclass(frozen=True)
class CrossFitted:
    """Which candidate each half of the images is judged with.

    Attributes:
        chosen: (n,) for each group the candidate that is best on the other half.
        favourites: the two candidates, that of half 0 first; equal where both halves agree.
        numerator, denominator: (n,) sums of each group at its candidate.
    """

    chosen: Int[np.ndarray, " group"]
    favourites: tuple[int, int]
    numerator: Float[np.ndarray, " group"]
    denominator: Float[np.ndarray, " group"]


@checked
def cross_fitted(
    numerator: Float[np.ndarray, "group candidate"],
    denominator: Float[np.ndarray, "group candidate"],
    halves: Int[np.ndarray, " group"],
    smallest: bool = False,
) -> CrossFitted:
    """Each group's sums at the candidate that is best on the *other* half of the groups.

    Give the sums to `cluster_share`, `cluster_ratio` or, beside a control at the same candidates,
    to `paired_difference`: their intervals are right although the candidate was chosen.

    Args:
        numerator, denominator: sums of each group (image) for each candidate (layer, window,
            head); 0 in both where a group has none.
        halves: 0 or 1 of each group; see `half_of`.
        smallest: the smallest is best, not the largest; of equal ones the first.

    Raises:
        InputError: other shapes, or a half in which no candidate has items.
    """
    if numerator.shape != denominator.shape or len(halves) != len(numerator):
        raise InputError(
            f"expected sums of the same groups and candidates, got {numerator.shape}, "
            f"{denominator.shape} and {len(halves)} halves"
        )
    favourites = []
    for side in (0, 1):
        other = halves != side
        top, bottom = (one[other].sum(0, np.float64) for one in (numerator, denominator))
        if not (bottom > 0).any():
            raise InputError("a half of the groups has no items: two groups with items are needed")
        worst = np.inf if smallest else -np.inf
        found = np.divide(top, bottom, out=np.full(len(top), worst), where=bottom > 0)
        favourites.append(int(found.argmin() if smallest else found.argmax()))
    chosen = np.array(favourites)[halves]
    rows = np.arange(len(chosen))
    own, whole = (one[rows, chosen].astype(np.float64) for one in (numerator, denominator))
    return CrossFitted(chosen, (favourites[0], favourites[1]), own, whole)
