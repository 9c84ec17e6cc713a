"""Selection and multiple testing: what was chosen on some images is judged on others, and the p
values of several tests are corrected for their number.

The largest of several estimates is biased upwards, and its own interval is too short and in the
wrong place. `cross_fitted` chooses on one half of the images and judges on the other, both ways
round. More folds would be worse: most of them would choose on nearly the same images, so that their
estimates would move together (`benchmarks/coverage.py`).
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
    """P values corrected for the number of tests (Holm 1979, Scand. J. Stat. 6:65).

    Under the null hypotheses, the chance that any of them falls below a limit is at most the limit,
    however the tests depend on each other. None and NaN stay as they are and count as no test.

    Raises:
        InputError: a p value outside 0 to 1.
    """
    known = {i: p for i, p in enumerate(p_values) if p is not None and not math.isnan(p)}
    for index, p in known.items():
        if not 0 <= p <= 1:
            raise InputError(f"p_values[{index}] is {p}; expected 0 to 1")
    corrected = list(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(known, key=known.__getitem__)):
        largest = max(largest, min(1.0, (len(known) - rank) * known[index]))
        corrected[index] = largest
    return corrected


@checked
def simultaneous_level(n: int, level: float = 0.95) -> float:
    """The level of each of `n` intervals at which all of them hold together at `level`
    (Bonferroni); for the band around a curve."""
    if n < 1:
        raise InputError(f"expected at least one interval, got {n}")
    return 1 - (1 - level) / n


@checked
def half_of(names: Sequence[str], seed: int = 0) -> dict[str, int]:
    """Assigns 0 or 1 to each distinct name: a random split in halves that is always the same.

    Raises:
        InputError: a seed below 0.
    """
    arguments.seed(seed)
    unique = sorted(set(names))
    order = np.random.default_rng(seed).permutation(len(unique))
    return {unique[place]: index % 2 for index, place in enumerate(order.tolist())}


@dataclass(frozen=True)
class CrossFitted:
    """The candidate with which each half of the images is judged.

    Attributes:
        chosen: (n,) the candidate of each group: the best one on the other half.
        favourites: the two candidates, that of half 0 first; equal if both halves agree.
        numerator, denominator: (n,) each group's sums at its candidate.
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

    Pass the sums to `cluster_share`, `cluster_ratio` or, with a control at the same candidates,
    `paired_difference`: the intervals are valid although the candidate was chosen on the data.

    Args:
        numerator, denominator: sums of each group (image) for each candidate (layer, window,
            head); both 0 where a group has none.
        halves: 0 or 1 for each group; see `half_of`.
        smallest: choose the smallest ratio instead of the largest; ties go to the first.

    Raises:
        InputError: shapes that differ, or a half in which no candidate has items.
    """
    if numerator.shape != denominator.shape or len(halves) != len(numerator):
        raise InputError(
            f"expected sums of the same groups and candidates, got {numerator.shape}, "
            f"{denominator.shape} and {len(halves)} halves"
        )
    favourites = []
    for side in (0, 1):
        other = halves != side
        top, bottom = (sums[other].sum(0, np.float64) for sums in (numerator, denominator))
        if not (bottom > 0).any():
            raise InputError("a half of the groups has no items: two groups with items are needed")
        worst = np.inf if smallest else -np.inf
        ratios = np.divide(top, bottom, out=np.full(len(top), worst), where=bottom > 0)
        favourites.append(int(ratios.argmin() if smallest else ratios.argmax()))
    chosen = np.array(favourites)[halves]
    rows = np.arange(len(chosen))
    top, bottom = (sums[rows, chosen].astype(np.float64) for sums in (numerator, denominator))
    return CrossFitted(chosen, (favourites[0], favourites[1]), top, bottom)
