"""Bounds on the agreement of any map: other observers, the centre, another image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...data import Sample, Segment
from ...gaze import centre_prior, mask_attention
from .._executor import Rows
from .gaze_targets import GazeTarget, Rules
from .rows import cells_of, row_of


def bound_rows(sample: Sample, target: GazeTarget, rules: Rules, other: np.ndarray | None) -> Rows:
    """One row for each bound that the data allows.

    Args:
        other: density of gazes at another image, from `other_image`.
    """
    height, width = target.shape
    scores_by_bound = {"centre": target.scores(centre_prior((width, height)), rules)}
    people = target.people(rules)
    if people is not None:
        scores_by_bound["people"] = people
    if other is not None:
        scores_by_bound["other-image"] = target.scores(other, rules)
    mask = _mask(sample, target.segment) if target.provenance != "mask" else None
    if mask is not None:
        scores_by_bound["mask"] = target.scores(mask, rules)
    return [
        row_of(sample, target, name) | cells_of(scores) for name, scores in scores_by_bound.items()
    ]


def other_image(
    samples: Sequence[Sample], partner: int | None, target: GazeTarget
) -> np.ndarray | None:
    """Where people looked in another image during a segment of the same granularity.

    Args:
        partner: index of that image; None if there is none.
    """
    if partner is None:
        return None
    try:
        other = samples[partner]
    except Exception:
        # An unreadable partner has an error row of its own.
        return None
    gazes = [
        gaze
        for gaze in other.attention
        if gaze.segment is not None
        and gaze.segment.granularity == target.segment.granularity
        and gaze.nothing is None
    ]
    if not gazes:
        return None
    density = gazes[target.number % len(gazes)].density()
    return None if density is None else target.fitted(density)


def _mask(sample: Sample, segment: Segment) -> np.ndarray | None:
    """The true mask of the object that a word of the first caption names, if known."""
    if not sample.objects or segment.description not in sample.captions[:1]:
        return None
    for labelled in mask_attention(sample):
        if labelled.segment is not None and (labelled.segment.start, labelled.segment.end) == (
            segment.start,
            segment.end,
        ):
            return labelled.density()
    return None
