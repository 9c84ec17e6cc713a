"""Rows of the study: one per segment, map and condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...data import Sample
from ...errors import RetinoscopeError, one_line
from ...saliency import ImageTextPair, SaliencyModel
from ...stats.maps import MapScore
from ...store import Scalar
from .._best import number
from .._executor import Rows
from .gaze_targets import GazeTarget


def row_of(sample: Sample, target: GazeTarget, condition: str | None = None) -> dict[str, Scalar]:
    """The columns of a segment that do not depend on a map."""
    return {
        "sample": sample.id,
        "item": target.number,
        "segment": target.segment.text,
        "granularity": target.segment.granularity,
        "provenance": target.provenance,
        "observers": len(target.observers),
        "n_fixations": target.n_fixations,
        "dropped": target.dropped,
        "condition": condition,
    }


def cells_of(scores: Mapping[str, MapScore]) -> dict[str, Scalar]:
    """Scores by metric, and why some are undefined."""
    why: dict[str, list[str]] = {}
    for name, score in scores.items():
        if score.reason is not None:
            why.setdefault(score.reason, []).append(name)
    reason = "; ".join(f"{', '.join(names)}: {text}" for text, names in why.items())
    return {name: number(score.value) for name, score in scores.items()} | {
        "reason": reason or None
    }


def ranked(values: Sequence[float]) -> dict[str, Scalar]:
    """The first value's rank (from 1), and its share of first place."""
    first, best = values[0], max(values)
    ties = sum(value == first for value in values)
    above = sum(value > first for value in values)
    return {
        "candidates": len(values),
        "preferred": 1 / ties if first == best else 0.0,
        "rank": 1 + above + (ties - 1) / 2,
    }


def read_text(
    model: SaliencyModel, sample: Sample, text: str, targets: Sequence[GazeTarget]
) -> tuple[ImageTextPair | None, list[GazeTarget], Rows]:
    """A text, its segments that the model can read, and an error row for each of the others."""
    try:
        pair = model.read(sample.image, text)
    except RetinoscopeError as error:
        return None, [], [row_of(sample, target) | {"error": one_line(error)} for target in targets]
    readable: list[GazeTarget] = []
    unread: Rows = []
    for target in targets:
        try:
            pair.check(target.segment)
            readable.append(target)
        except RetinoscopeError as error:
            unread.append(row_of(sample, target) | {"error": one_line(error)})
    return pair, readable, unread
