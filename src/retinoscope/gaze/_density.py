"""Densities of several observers, of the image's centre, and of a span of time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from ..data import Gaze, Segment
from ..errors import InputError

BANDWIDTH = 0.03
"""Of the kernel, as a share of the image's diagonal; the paper does not give its own."""


def pool(gazes: Sequence[Gaze]) -> Gaze:
    """Several observers of one segment as one: the mean of their densities, all their fixations.

    Each observer counts the same, however long they looked; one that has none counts nothing.

    Raises:
        InputError: none at all, or of several images, segments or provenances.
    """
    if not gazes:
        raise InputError("expected at least one observer, got none")
    first = gazes[0]
    for name in ("size", "provenance"):
        if len({getattr(one, name) for one in gazes}) > 1:
            raise InputError(f"expected observers of one {name}, got several")
    if len({_place(one.segment) for one in gazes}) > 1:
        raise InputError("expected observers of one segment, got several")
    if len(gazes) == 1:
        return first
    found = [density for one in gazes if (density := one.density()) is not None]
    return replace(
        first,
        fixations=np.concatenate([one.fixations for one in gazes]),
        durations=np.concatenate([one.durations for one in gazes]),
        map=np.mean(found, axis=0) if found else np.zeros(first.size[::-1]),
        observer=None,
        dropped=sum(one.dropped for one in gazes),
        settings={**first.settings, "observers": len(gazes)},
    )


def _place(segment: Segment | None) -> tuple[str, int, int] | None:
    return None if segment is None else (segment.description, segment.start, segment.end)


def centre_prior(size: tuple[int, int], spread: float = 0.25) -> Float[np.ndarray, "height width"]:
    """A Gaussian at the centre, as wide and high as the image asks for; adds up to 1.

    What people's maps have in common without having seen the image; a map must do better.

    Args:
        size: width and height in pixels.
        spread: its standard deviation, as a share of the width and of the height.

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
