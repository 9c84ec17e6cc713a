"""Texts that stand against a segment or a description: the controls for what the words change."""

from __future__ import annotations

from collections.abc import Sequence

from ...data import Sample
from .._study import rng_of
from .gaze_targets import GazeTarget


def other_text(
    sample: Sample, target: GazeTarget, targets: Sequence[GazeTarget], seed: int
) -> GazeTarget | None:
    """Another segment of the same granularity that shares no letter with this one."""
    able = [
        one
        for one in targets
        if one.segment.granularity == target.segment.granularity
        and one.segment.start != target.segment.start
        and not one.segment.overlaps(target.segment)
        and one.segment.text.lower() != target.segment.text.lower()
    ]
    if not able:
        return None
    rng = rng_of(seed, "other text", sample.id, str(target.segment.start))
    return able[int(rng.integers(len(able)))]


def distractors(samples: Sequence[Sample], index: int, text: str, n: int, seed: int) -> list[str]:
    """At most `n` descriptions of other images than `index`, drawn by the seed."""
    rng = rng_of(seed, "distractors", str(index))
    found: list[str] = []
    for place in rng.permutation(len(samples)).tolist():
        if len(found) == n:
            break
        if place == index:
            continue
        try:
            captions = samples[place].captions
        except Exception:
            continue
        if captions and captions[0].lower() not in {one.lower() for one in [text, *found]}:
            found.append(captions[0])
    return found
