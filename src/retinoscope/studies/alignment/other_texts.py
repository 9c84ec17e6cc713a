"""Controls for what the words change: other texts for a segment or a description."""

from __future__ import annotations

from collections.abc import Sequence

from ...data import Sample
from .._study import rng_of
from .gaze_targets import GazeTarget


def other_text(
    sample: Sample, target: GazeTarget, targets: Sequence[GazeTarget], seed: int
) -> GazeTarget | None:
    """Another segment of the same granularity, which does not overlap this one."""
    candidates = [
        other
        for other in targets
        if other.segment.granularity == target.segment.granularity
        and other.segment.start != target.segment.start
        and not other.segment.overlaps(target.segment)
        and other.segment.text.lower() != target.segment.text.lower()
    ]
    if not candidates:
        return None
    rng = rng_of(seed, "other text", sample.id, str(target.segment.start))
    return candidates[int(rng.integers(len(candidates)))]


def distractors(samples: Sequence[Sample], index: int, text: str, n: int, seed: int) -> list[str]:
    """Up to `n` descriptions of images other than `index`, drawn by the seed."""
    rng = rng_of(seed, "distractors", str(index))
    texts: list[str] = []
    for place in rng.permutation(len(samples)).tolist():
        if len(texts) == n:
            break
        if place == index:
            continue
        try:
            captions = samples[place].captions
        except Exception:
            # Unreadable samples have their own row; they lend no description.
            continue
        if captions and captions[0].lower() not in {known.lower() for known in [text, *texts]}:
            texts.append(captions[0])
    return texts
