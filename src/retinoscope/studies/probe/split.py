"""Divides the images into train, validation and test, which never share an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from ...errors import InputError

SHARE = 0.2
"""Share of all images for the test split, and of the rest for validation."""
_LEAST = 10


@dataclass(frozen=True, eq=False)
class Split:
    """Numbers of images, in increasing order."""

    train: Int[np.ndarray, " image"]
    val: Int[np.ndarray, " image"]
    test: Int[np.ndarray, " image"]

    def __post_init__(self) -> None:
        parts = (self.train, self.val, self.test)
        whole = np.concatenate(parts)
        assert len(np.unique(whole)) == len(whole), "train, validation and test share an image"


def splits_of(usable: Sequence[int], n_seeds: int, seed: int) -> tuple[Split, ...]:
    """One split per probe seed. All have the same test images, which pairs their scores.

    Args:
        usable: numbers of the usable images.

    Raises:
        InputError: too few images, or no seeds.
    """
    if n_seeds < 1:
        raise InputError(f"expected at least 1 probe seed, got {n_seeds}")
    if len(usable) < _LEAST:
        raise InputError(
            f"expected at least {_LEAST} different images to split into train, validation and "
            f"test, got {len(usable)}: give more"
        )
    images = np.array(sorted(usable))
    order = np.random.default_rng([seed, 0]).permutation(images)
    n_test = max(2, round(SHARE * len(images)))
    test, rest = order[:n_test], order[n_test:]
    n_val = max(2, round(SHARE * len(rest)))
    splits = []
    for number in range(n_seeds):
        mixed = np.random.default_rng([seed, 1, number]).permutation(rest)
        splits.append(Split(np.sort(mixed[n_val:]), np.sort(mixed[:n_val]), np.sort(test)))
    return tuple(splits)
