"""What the agreement of any map lies between: other observers, the centre, another image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...data import Sample, Segment
from ...gaze import centre_prior, mask_attention
from .._executor import Rows
from .gaze_targets import GazeTarget, Rules
from .rows import cells_of, row_of


def bound_rows(sample: Sample, target: GazeTarget, rules: Rules, other: np.ndarray | None) -> Rows:
    """One row for each that the data knows.

    Args:
        other: where people looked in another image, from `other_image`.
    """
    height, width = target.shape
    found = {"centre": target.scores(centre_prior((width, height)), rules)}
    people = target.people(rules)
    if people is not None:
        found["people"] = people
    if other is not None:
        found["other-image"] = target.scores(other, rules)
    mask = _mask(sample, target.segment) if target.provenance != "mask" else None
    if mask is not None:
        found["mask"] = target.scores(mask, rules)
    return [row_of(sample, target, name) | cells_of(scores) for name, scores in found.items()]


def other_image(
    samples: Sequence[Sample], partner: int | None, target: GazeTarget
) -> np.ndarray | None:
    """Where people looked in another image during a segment of the same granularity.

    Args:
        partner: number of that image; None where there is none.
    """
    if partner is None:
        return None
    try:
        other = samples[partner]
    except Exception:
        # The partner cannot be read; it has an error row of its own.
        return None
    found = [
        one
        for one in other.attention
        if one.segment is not None
        and one.segment.granularity == target.segment.granularity
        and one.nothing is None
    ]
    if not found:
        return None
    density = found[target.number % len(found)].density()
    return None if density is None else target.fitted(density)


def _mask(sample: Sample, segment: Segment) -> np.ndarray | None:
    """The true mask of what a word of the first caption names, where that is known."""
    if not sample.objects or segment.description not in sample.captions[:1]:
        return None
    for one in mask_attention(sample):
        if one.segment is not None and (one.segment.start, one.segment.end) == (
            segment.start,
            segment.end,
        ):
            return one.density()
    return None
