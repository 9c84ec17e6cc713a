"""Masks of another image: a control for whatever is measured inside an object's mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from ..answers.tasks import PromptOptions, studied_objects
from ..data import Sample
from ._study import rng_of


def partners(n: int, seed: int) -> dict[int, int]:
    """Returns, for each image, the one whose masks it gets: the next on a seeded random cycle."""
    if n < 2:
        return {}
    order = rng_of(seed, "derangement").permutation(n).tolist()
    return dict(zip(order, [*order[1:], order[0]], strict=True))


def other_mask(
    samples: Sequence[Sample], partner: int, item: int, sample: Sample, objects: PromptOptions
) -> np.ndarray | None:
    """Returns a mask of sample `partner`, scaled to this sample's size; None if it has none."""
    try:
        other = samples[partner]
    except Exception:
        # The partner cannot be read, and has an error row of its own.
        return None
    masks = [other.objects[i].mask for i in studied_objects(other, objects)]
    masks = [mask for mask in masks if mask.any()]
    if not masks:
        return None
    mask = masks[item % len(masks)]
    if mask.shape[::-1] == sample.image.size:
        return mask
    scaled = Image.fromarray(mask).resize(sample.image.size, Image.Resampling.NEAREST)
    return np.asarray(scaled, dtype=bool)
