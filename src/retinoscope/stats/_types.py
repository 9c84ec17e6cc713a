"""Result types: every value comes with its interval, its sample size and its method."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence interval.

    Attributes:
        value: the estimate; NaN where it is undefined, as `reason` explains.
        low, high: the interval's ends; NaN where no interval exists (one group only, say).
        n: the number of items.
        n_groups: the number of independent groups (images) that these come from.
        level: coverage, such as 0.95.
        method: how the interval was computed, for a table's caption.
        reason: why something is undefined or was replaced; None otherwise.
        size: for a share, its effective number of independent items; else None.
        freedom: degrees of freedom of a share or a mean over groups; infinite where items are
            independent, None where the interval rests on no t distribution.
    """

    value: float
    low: float
    high: float
    n: int
    n_groups: int
    level: float
    method: str
    reason: str | None = None
    # Keyword-only, so that the fields of subclasses come before them.
    size: float | None = field(default=None, kw_only=True)
    freedom: float | None = field(default=None, kw_only=True)

    @property
    def defined(self) -> bool:
        """Whether value and both ends are numbers."""
        return not (math.isnan(self.value) or math.isnan(self.low) or math.isnan(self.high))

    def excludes(self, number: float) -> bool:
        """Whether `number` lies outside the interval; False where there is no interval."""
        return self.defined and not self.low <= number <= self.high

    def overlaps(self, other: Interval) -> bool:
        """Whether the two intervals share a point; True where either is undefined, since nothing
        then separates them."""
        if not (self.defined and other.defined):
            return True
        return self.low <= other.high and other.low <= self.high


@dataclass(frozen=True)
class PairedDifference(Interval):
    """Mean of `a - b` over pairs, with its interval, its test of "no difference" and the verdict.

    Attributes:
        p: two-sided sign-flip test over groups, valid when items within a group depend on each
            other; NaN where undefined. With fewer than 6 groups it cannot fall below 0.05.
        mcnemar_p: McNemar's exact test, for booleans with one pair per group; else None, since
            unlike `p` it takes pairs as independent.
        only_a, only_b: for booleans, the number of pairs in which only a (only b) holds; else None.
    """

    p: float = math.nan
    mcnemar_p: float | None = None
    only_a: int | None = None
    only_b: int | None = None

    @property
    def significant(self) -> bool:
        """Whether the test rejects "no difference" at 1 - level: the verdict on an effect.

        This is not whether the intervals of a and b overlap, which ignores that both were measured
        on the same images. If this is one of several tests, correct `p` first (`holm`).
        """
        return self.p < 1 - self.level - 1e-12


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
