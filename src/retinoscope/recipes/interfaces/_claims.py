"""What each system claims, and whether its arms show it; decided here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ...stats import Interval
from ._table import MEASURES, OF_RETRIEVAL, Comparison

SEEDS = 3
"""With fewer, a difference may be one of seeds."""
_LEVEL = 0.95
JUDGED = {**MEASURES, **{f"retrieval-{name}": of for name, of in OF_RETRIEVAL.items()}}
"""Name -> what claims can be about."""


@dataclass(frozen=True)
class Claim:
    """An arm is better than others of its size.

    Attributes:
        what: in one sentence.
        arm, against: names of arms.
        better: name in `JUDGED` -> 1 if more is better, -1 if less is.
    """

    what: str
    arm: str
    against: tuple[str, ...]
    better: Mapping[str, int]


@dataclass(frozen=True)
class Verdict:
    """One measure of a claim against one control.

    Attributes:
        title: of the measure.
        control: name of the other arm.
        n_seeds: that both arms have.
        difference: arm - control; its interval holds for all measures and controls of the claim
            together (95% over scenes and seeds, by Bonferroni).
        shown: "yes", "no" if the interval contains 0, or "the opposite"; not yet, of fewer seeds
            than `SEEDS`, which the interval does not cover.
    """

    title: str
    control: str
    n_seeds: int
    difference: Interval
    shown: str


CLAIMS: dict[str, Claim] = {
    "lyrics": Claim(
        "objects found beforehand make more kinds known, small ones above all, and fewer absent "
        "ones agreed to",
        "lyrics",
        ("qformer", "lyrics-dense"),
        {"caption-recall": 1, "caption-recall-small": 1, "absent": -1, "absent-adversarial": -1},
    ),
    "scl": Claim(
        "completion makes matching and answers better",
        "scl",
        ("scl-none", "scl-passes"),
        {
            "retrieval-caption": 1,
            "retrieval-image": 1,
            "color": 1,
            "kind": 1,
            "relation": 1,
            "caption-recall": 1,
        },
    ),
    "x-former": Claim(
        "reconstruction makes fine-grained answers better, and presence no worse",
        "x-former",
        ("qformer", "x-former-plain", "x-former-concat", "x-former-contrastive"),
        {"color": 1, "position": 1, "count": 1, "relation": 1, "present": 1},
    ),
}
"""System -> claim, as far as answers and retrieval can tell."""


def verdicts(claim: Claim, comparison: Comparison) -> Iterator[Verdict]:
    """Every measure of a claim against every control that has a seed in common with the arm."""
    controls = [other for other in claim.against if comparison.shared_seeds(claim.arm, other)]
    level = 1 - (1 - _LEVEL) / max(1, len(controls) * len(claim.better))
    for name, sign in claim.better.items():
        measure = JUDGED[name]
        for control in controls:
            found = comparison.difference(claim.arm, control, measure, level=level)
            n_seeds = len(comparison.shared_seeds(claim.arm, control))
            shown = _shown(found, sign)
            if n_seeds < SEEDS:
                shown += f", in {n_seeds} of {SEEDS} seeds"
            yield Verdict(measure.title, control, n_seeds, found, shown)


def _shown(found: Interval, sign: int) -> str:
    if not found.excludes(0):
        return "no"
    return "yes" if found.value * sign > 0 else "the opposite"
