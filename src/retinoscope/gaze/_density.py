"""Densities: pooled over observers, of the image's centre, and within a span of time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from ..data import Gaze, Segment
from ..errors import InputError

BANDWIDTH = 0.03
"""Standard deviation of the kernel, as a share of the image's diagonal; the paper gives none."""


def pool(gazes: Sequence[Gaze]) -> Gaze:
    """Pools several observers of one segment: the mean of their densities, all their fixations.

    Observers count equally, however long they looked; one without fixations does not count.

    Raises:
        InputError: no observers, or several images, segments or provenances.
    """
    if not gazes:
        raise InputError("expected at least one observer, got none")
    first = gazes[0]
    for name in ("size", "provenance"):
        if len({getattr(gaze, name) for gaze in gazes}) > 1:
            raise InputError(f"expected observers with the same {name}, got several")
    if len({_segment_key(gaze.segment) for gaze in gazes}) > 1:
        raise InputError("expected observers of the same segment, got several")
    if len(gazes) == 1:
        return first
    densities = [density for gaze in gazes if (density := gaze.density()) is not None]
    return replace(
        first,
        fixations=np.concatenate([gaze.fixations for gaze in gazes]),
        durations=np.concatenate([gaze.durations for gaze in gazes]),
        map=np.mean(densities, axis=0) if densities else np.zeros(first.size[::-1]),
        observer=None,
        dropped=sum(gaze.dropped for gaze in gazes),
        settings={**first.settings, "observers": len(gazes)},
    )


def _segment_key(segment: Segment | None) -> tuple[str, int, int] | None:
    return None if segment is None else (segment.description, segment.start, segment.end)


def centre_prior(size: tuple[int, int], spread: float = 0.25) -> Float[np.ndarray, "height width"]:
    """A Gaussian at the image's centre, stretched to its sides; adds up to 1.

    People's maps share this much before the image is seen, so a map has to beat it.

    Args:
        size: width and height in pixels.
        spread: standard deviation, as a share of the width and of the height.

    Raises:
        InputError: a spread of 0 or below.
    """
    if not (math.isfinite(spread) and spread > 0):
        raise InputError(f"expected a spread above 0, got {spread}")
    across, down = (
        np.exp(-(((np.arange(side) + 0.5) / side - 0.5) ** 2) / (2 * spread**2)) for side in size
    )
    density = np.outer(down, across)
    return density / density.sum()


def overlap(
    starts: Float[np.ndarray, " fixation"],
    ends: Float[np.ndarray, " fixation"],
    span: tuple[float, float],
) -> Float[np.ndarray, " fixation"]:
    """Seconds of each fixation that fall into `span`."""
    return np.maximum(np.minimum(ends, span[1]) - np.maximum(starts, span[0]), 0.0)
