"""What is claimed of an arm, and whether the results show it; decided here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ...stats import Interval
from ._results import Comparison, Measure

SEEDS = 3
"""With fewer, a difference may be one of seeds."""
MARGIN = 0.05
"""What is to be no worse may lose less than this."""
_LEVEL = 0.95
_RESAMPLES = 20_000
"""The ends of a corrected interval lie far out."""


@dataclass(frozen=True)
class Claim:
    """An arm is better than others of its size.

    Attributes:
        what: in one sentence.
        arm, against: names of arms.
        better: name of a measure -> 1 if more is better, -1 if less is.
        no_worse: of measures of which more is better, those that must only not be lost.
    """

    what: str
    arm: str
    against: tuple[str, ...]
    better: Mapping[str, int]
    no_worse: tuple[str, ...] = ()

    @property
    def measures(self) -> tuple[str, ...]:
        return (*self.better, *self.no_worse)


@dataclass(frozen=True)
class ClaimVerdict:
    """One measure of a claim against one control.

    Attributes:
        title: of the measure, and what is claimed of it.
        control: name of the other arm.
        n_seeds: that both arms have.
        difference: arm - control; its interval holds for all measures and controls of the claim
            together (95% over images and seeds, by Bonferroni).
        shown: "yes", "no" or "the opposite"; not for good with fewer seeds than `SEEDS`, which
            the interval does not cover.
    """

    title: str
    control: str
    n_seeds: int
    difference: Interval
    shown: str


def verdicts(
    claim: Claim, comparison: Comparison, judged: Mapping[str, Measure]
) -> Iterator[ClaimVerdict]:
    """Every measure of a claim against every control that has a seed in common with the arm.

    Args:
        judged: the measures by the names that the claim has for them.
    """
    controls = [other for other in claim.against if comparison.shared_seeds(claim.arm, other)]
    level = 1 - (1 - _LEVEL) / max(1, len(controls) * len(claim.measures))
    for name in claim.measures:
        measure, sign = judged[name], claim.better.get(name)
        for control in controls:
            found = comparison.difference(
                claim.arm, control, measure, level=level, n_resamples=_RESAMPLES
            )
            n_seeds = len(comparison.shared_seeds(claim.arm, control))
            shown = _better(found, sign) if sign else _no_worse(found)
            if n_seeds < SEEDS:
                shown += f" ({n_seeds} {'seed' if n_seeds == 1 else 'seeds'} so far)"
            title = {1: "more: ", -1: "less: ", None: "no worse: "}[sign] + measure.title
            yield ClaimVerdict(title, control, n_seeds, found, shown)


def _better(found: Interval, sign: int) -> str:
    if not found.excludes(0):
        return "no"
    return "yes" if found.value * sign > 0 else "the opposite"


def _no_worse(found: Interval) -> str:
    if found.defined and found.high < 0:
        return "the opposite"
    return "yes" if found.defined and found.low > -MARGIN else "no"
