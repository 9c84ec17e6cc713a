"""Groupings without features, as controls: their overlap with objects is far from 0."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from ..arguments import checked, whole
from ..arguments import seed as check_seed
from ..errors import InputError
from ..tokens import token_map
from ._kmeans import kmeans

_PLACE_WEIGHT = 20.0
"""Grey levels (of 255) equivalent to a distance of one group's width; m in SLIC."""

Groups = Int[np.ndarray, " location"]
Boxes = Float[np.ndarray, "location 4"]


@checked
def random_groups(n: int, n_groups: int, seed: int = 0) -> Groups:
    """Assigns each of n locations to a random group; no group is empty."""
    _check(n, n_groups, seed)
    groups = np.random.default_rng(seed).integers(0, n_groups, n)
    return np.unique(groups, return_inverse=True)[1]


@checked
def voronoi_groups(boxes: Boxes, n_groups: int, seed: int = 0) -> Groups:
    """Blobs: each location joins the nearest of `n_groups` randomly drawn locations."""
    _check(len(boxes), n_groups, seed)
    middle = _middles(boxes)
    drawn = np.random.default_rng(seed).choice(len(boxes), n_groups, replace=False)
    distance = ((middle[:, None] - middle[drawn]) ** 2).sum(-1)
    return np.unique(distance.argmin(1), return_inverse=True)[1]


@checked
def superpixel_groups(image: Image.Image, boxes: Boxes, n_groups: int, seed: int = 0) -> Groups:
    """k-means over the mean colour and the position of each location.

    The distance is SLIC's (Achanta et al. 2012), on locations instead of pixels, so that it works
    on the same grid as the features: RGB from 0 to 255, and positions in widths of a group, each
    worth 20 levels.

    Raises:
        InputError: fewer locations than groups.
        MissingExtraError: without scikit-learn.
    """
    _check(len(boxes), n_groups, seed)
    tokens = token_map(boxes, image.size)
    covered = tokens >= 0
    pixels = np.asarray(image.convert("RGB"), np.float64)[covered]
    size = np.maximum(np.bincount(tokens[covered], minlength=len(boxes)), 1)
    color = np.stack(
        [np.bincount(tokens[covered], channel, len(boxes)) / size for channel in pixels.T], 1
    )
    width = np.sqrt(covered.sum() / n_groups)
    values = np.concatenate([color, _PLACE_WEIGHT * _middles(boxes) / width], 1)
    k = min(n_groups, len(np.unique(np.round(values, 6), axis=0)))
    return np.unique(kmeans(values, k, seed), return_inverse=True)[1]


def _middles(boxes: Boxes) -> Float[np.ndarray, "location 2"]:
    return np.stack([boxes[:, 0] + boxes[:, 2], boxes[:, 1] + boxes[:, 3]], 1) / 2


def _check(n: int, n_groups: int, seed: int) -> None:
    whole(n_groups, "groups", 1)
    check_seed(seed)
    if n_groups > n:
        raise InputError(
            f"expected 1 to {n} groups for {n} locations, got {n_groups}: ask for fewer groups"
        )
