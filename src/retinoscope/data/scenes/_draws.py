"""Random numbers that are the same on every machine and in every version of numpy.

numpy guarantees the streams of `PCG64` and `SeedSequence`, but not those of the methods of
`Generator` (NEP 19), so only raw 64-bit words are taken from numpy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

VERSION = 1
"""Incremented whenever any scene's pixels or texts change."""

LAYOUT, TEXT, PIXELS, GROUND, VARIETY, MORE_TEXT = 0, 1, 2, 3, 4, 5
"""Independent streams of a scene, so that texts do not depend on pixels."""

_BLOCK = 128


class Draws:
    """A stream of integers for scene `index` of `seed`."""

    def __init__(self, seed: int, index: int, stream: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence([seed, index, VERSION, stream]))
        self._words: list[int] = []

    def below(self, n: int) -> int:
        """An integer in 0..n-1, with n below 2**32 (bias below n / 2**32)."""
        if not self._words:
            self._words = self._bits.random_raw(_BLOCK).tolist()
        return ((self._words.pop() >> 32) * n) >> 32

    def between(self, low: int, high: int) -> int:
        """An integer in low..high, both included."""
        return low + self.below(high - low + 1)

    def weighted(self, weights: Sequence[int]) -> int:
        """An index, drawn in proportion to integer weights."""
        value = self.below(sum(weights))
        for index, weight in enumerate(weights):
            value -= weight
            if value < 0:
                return index
        raise AssertionError("the weights sum to more than was drawn")

    def distinct(self, n: int, pool: Sequence[int]) -> list[int]:
        """`n` different members of `pool`, in random order."""
        left = list(pool)
        return [left.pop(self.below(len(left))) for _ in range(n)]

    def chance(self, probability: float) -> bool:
        """True with this probability, resolved to one in a million."""
        return self.below(1_000_000) < round(probability * 1_000_000)

    def bytes(self, n: int) -> UInt8[np.ndarray, " n"]:
        """`n` uniform bytes, in little-endian order on every machine."""
        words = self._bits.random_raw((n + 7) // 8)
        return words.astype("<u8").view(np.uint8)[:n]
