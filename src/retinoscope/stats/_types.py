"""What a statistic returns: the value never without its interval, its size and its method."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


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
        size: of a share, how many independent items its interval is worth; else None.
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
    # By name only, so that no subclass takes its own numbers for them.
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
        tells the two apart then."""
        if not (self.defined and other.defined):
            return True
        return self.low <= other.high and other.low <= self.high


@dataclass(frozen=True)
class PairedDifference(Interval):
    """Mean of `a - b` over pairs, with its interval, its test of "no difference" and the verdict.

    Attributes:
        p: two-sided sign-flip test over groups: valid when items of a group depend on each other;
            NaN where undefined. With fewer than 6 groups it cannot be below 0.05.
        mcnemar_p: exact McNemar test, for booleans and one pair a group only (else None: it takes
            pairs as independent; `p` does not).
        only_a, only_b: for booleans, pairs in which only a (only b) holds; else None.
    """

    p: float = math.nan
    mcnemar_p: float | None = None
    only_a: int | None = None
    only_b: int | None = None

    @property
    def significant(self) -> bool:
        """Whether the test rejects "no difference" at 1 - level: the verdict on an effect.

        Not whether the intervals of a and b overlap: those do not know that the two were measured
        on the same images. Of one of several looked at, correct `p` first (`holm`).
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
