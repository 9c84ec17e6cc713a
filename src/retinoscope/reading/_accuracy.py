"""How well words were read, as in the benchmarks of scene text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rapidfuzz.distance import Levenshtein

from ..errors import InputError
from ..stats import Interval, cluster_mean, cluster_share, proportion


@dataclass(frozen=True)
class ReadingScore:
    """Texts that were read beside what the images say.

    Attributes:
        right: share of images whose whole word was read.
        distance: mean edit distance, in letters.
        similarity: mean of 1 - edit distance / length of the longer of both, as ICDAR reports it.
    """

    right: Interval
    distance: Interval
    similarity: Interval


def score(read: Sequence[str], true: Sequence[str]) -> ReadingScore:
    """Compares texts, pair by pair, by `comparable`.

    Raises:
        InputError: none, or not as many of both.
    """
    if len(read) != len(true) or not read:
        raise InputError(f"expected texts in pairs, got {len(read)} and {len(true)}")
    pairs = [(comparable(a), comparable(b)) for a, b in zip(read, true, strict=True)]
    distance = cluster_mean([Levenshtein.distance(a, b) for a, b in pairs])
    return ReadingScore(
        right=proportion([a == b for a, b in pairs]),
        distance=replace(distance, low=max(0.0, distance.low)),
        similarity=cluster_share([Levenshtein.normalized_similarity(a, b) for a, b in pairs]),
    )


def comparable(text: str) -> str:
    """Letters and digits in lower case, which alone count in IIIT5K and ICDAR."""
    return "".join(filter(str.isalnum, text.lower()))
