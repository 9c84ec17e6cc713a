"""What varies with the later options: small objects, repeated kinds, grounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ._draws import Draws
from ._kinds import ALL_KINDS, AT_HOME, COLORS, ELSEWHERE, KINDS
from ._world import GROUNDS, Ground, SceneOptions

CORRELATION = 0.95
"""Probability that a target is of a kind that is at home on the ground of its scene."""


@dataclass(frozen=True)
class Cast:
    """The objects of a scene before they have places; `target` is an index among them."""

    kinds: list[int]
    colors: list[int]
    small: list[bool]
    ground: Ground | None
    target: int | None


def vary(kinds: Sequence[int], colors: Sequence[int], draws: Draws, options: SceneOptions) -> Cast:
    """Changes the objects of a common scene as `options` say; `draws` serve nothing else."""
    small = [draws.chance(options.small) for _ in kinds]
    kinds, colors = list(kinds), list(colors)
    ground = target = None
    if draws.chance(options.grounds):
        ground = GROUNDS[draws.below(2)]
        kinds, target = _grounded(len(kinds), ground, draws, options)
    if len(kinds) > 1 and draws.chance(options.repeats):
        one, other = draws.distinct(2, range(len(kinds)))
        if other == target:
            one, other = other, one
        kinds[other] = kinds[one]
        shift = draws.between(1, len(COLORS) - 1) if draws.below(2) else 0
        colors[other] = (colors[one] + shift) % len(COLORS)
    return Cast(kinds, colors, small, ground, target)


def _grounded(
    count: int, ground: Ground, draws: Draws, options: SceneOptions
) -> tuple[list[int], int]:
    """The kinds of a scene on `ground`, and which of them is the target."""
    side = ground if draws.chance(CORRELATION) else GROUNDS[1 - GROUNDS.index(ground)]
    known = len(ALL_KINDS if options.more_kinds else KINDS)
    kinds = draws.distinct(count, [number for number in ELSEWHERE if number < known])
    target = draws.below(count)
    kinds[target] = KINDS.index(AT_HOME[side][draws.below(len(AT_HOME[side]))])
    return kinds, target
