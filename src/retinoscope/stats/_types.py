"""What a statistic returns: the value never without its interval, its size and its method."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence interval.

    Attributes:
        value: the estimate; NaN where it is undefined, with `reason` saying why.
        low, high: the interval's ends; NaN where no interval exists (one group only, say).
        n: how many items went in.
        n_groups: how many independent groups (images) these items come from.
        level: coverage, such as 0.95.
        method: how the interval was made, for the caption of a table.
        reason: why something is undefined or was replaced; None if nothing was.
    """

    value: float
    low: float
    high: float
    n: int
    n_groups: int
    level: float
    method: str
    reason: str | None = None

    @property
    def defined(self) -> bool:
        """Whether value and both ends are numbers."""
        return not (math.isnan(self.value) or math.isnan(self.low) or math.isnan(self.high))

    def excludes(self, number: float) -> bool:
        """Whether `number` lies outside the interval; False where there is no interval."""
        return self.defined and not self.low <= number <= self.high

    def overlaps(self, other: Interval) -> bool:
        """Whether the two intervals share a point; True where either is undefined, since nothing
        tells the two apart then."""
        if not (self.defined and other.defined):
            return True
        return self.low <= other.high and other.low <= self.high


@dataclass(frozen=True)
class PairedDifference(Interval):
    """Mean of `a - b` over pairs, with its interval and two tests of "no difference".

    Attributes:
        p: two-sided sign-flip permutation test over groups: valid when items of a group depend on
            each other; NaN where undefined.
        mcnemar_p: exact McNemar test, for booleans only (else None). It takes pairs as independent,
            so with several pairs a group it is too small: report `p` then.
        only_a, only_b: for booleans, pairs in which only a (only b) holds; else None.
    """

    p: float = math.nan
    mcnemar_p: float | None = None
    only_a: int | None = None
    only_b: int | None = None


@dataclass(frozen=True)
class EffectSize:
    """A standardised difference.

    Attributes:
        value: NaN where undefined.
        magnitude: "negligible", "small", "medium", "large" (Cohen 1988, section 6.2), "undefined".
        reason: why it is undefined, or None.
    """

    value: float
    magnitude: str
    method: str
    reason: str | None = None
