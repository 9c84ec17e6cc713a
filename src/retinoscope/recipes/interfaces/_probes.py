"""The questions that the gate asks of frozen features, and closed-form ridge regression."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from ._held_out import HeldOut

Rows = Float[np.ndarray, "row feature"]
Targets = Float[np.ndarray, "row target"]
Features = Float[np.ndarray, "n token width"]
Score = Literal["recall", "top", "rounded", "distance", "r2"]

_PENALTIES = tuple(10.0**power for power in range(-5, 2))
"""Ridge penalties, as multiples of the number of rows (features have unit variance)."""
_CHOOSING = 0.2
"""Share of the scenes of a fit on which the penalty is chosen, before it is fitted on all."""


@dataclass(frozen=True)
class ProbeRows:
    """A probe's features, targets and scenes, row by row."""

    features: Rows
    targets: Targets
    scene: Int[np.ndarray, " row"]

    def of(self, chosen: Bool[np.ndarray, " row"]) -> ProbeRows:
        """Returns some of the rows."""
        return ProbeRows(self.features[chosen], self.targets[chosen], self.scene[chosen])


@dataclass(frozen=True)
class Probe:
    """One question to the features.

    Attributes:
        what: what is read from where, in words.
        score: how guesses are compared with the truth.
        rows: makes the rows of all scenes.
    """

    what: str
    score: Score
    rows: Callable[[Features, HeldOut], ProbeRows]


def _of_scenes(features: Features, targets: np.ndarray) -> ProbeRows:
    """The class token beside the mean of the patches."""
    rows = np.concatenate([features[:, 0], features[:, 1:].mean(1)], 1)
    return ProbeRows(rows, targets.astype(np.float32), np.arange(len(rows)))


def _of_cells(features: Features, scenes: HeldOut) -> ProbeRows:
    """The mean of the patches in each cell of 3 x 3; one readout for all cells."""
    n, _, width = features.shape
    grid = round((features.shape[1] - 1) ** 0.5)
    cells = round(scenes.cells.shape[1] ** 0.5)
    inside = features[:, 1:].reshape(n, cells, grid // cells, cells, grid // cells, width)
    rows = inside.mean((2, 4)).reshape(n * cells**2, width)
    targets = scenes.cells.reshape(n * cells**2, -1).astype(np.float32)
    return ProbeRows(rows, targets, np.repeat(np.arange(n), cells**2))


def _of_patches(features: Features, scenes: HeldOut, covered: bool) -> ProbeRows:
    scene, patch = np.nonzero(scenes.covered if covered else np.ones_like(scenes.covered))
    return ProbeRows(features[scene, 1 + patch], scenes.quadrants[scene, patch], scene)


def _of_objects(features: Features, scenes: HeldOut, targets: Targets, small: bool) -> ProbeRows:
    chosen = scenes.small == small
    scene, patch = scenes.scene[chosen], scenes.patch[chosen]
    return ProbeRows(features[scene, 1 + patch], targets[chosen], scene)


def _one_hot(numbers: Int[np.ndarray, " row"], n: int) -> Targets:
    return np.eye(n, dtype=np.float32)[numbers]


def _object_probes(size: str, small: bool) -> dict[str, Probe]:
    where = f"the patch at the centre of each {size} object"
    return {
        f"kind of {size} objects": Probe(
            f"kind, from {where}",
            "top",
            lambda f, s: _of_objects(f, s, _one_hot(s.kind, s.kinds.shape[1]), small),
        ),
        f"colour of {size} objects": Probe(
            f"colour, from {where}",
            "top",
            lambda f, s: _of_objects(f, s, _one_hot(s.color, s.colors.shape[1]), small),
        ),
        f"place of {size} objects": Probe(
            f"error of the object's centre in pixels, from {where}",
            "distance",
            lambda f, s: _of_objects(f, s, s.offset.astype(np.float32), small),
        ),
    }


PROBES: dict[str, Probe] = {
    "kinds": Probe(
        "kinds in the scene, recall at their true number, from the class token and the mean patch",
        "recall",
        lambda f, s: _of_scenes(f, s.kinds),
    ),
    "colours": Probe(
        "colours in the scene, recall at their true number, from the class token and the mean "
        "patch",
        "recall",
        lambda f, s: _of_scenes(f, s.colors),
    ),
    "count": Probe(
        "number of objects, rounded, from the class token and the mean patch",
        "rounded",
        lambda f, s: _of_scenes(f, s.counts[:, None]),
    ),
    "colours in cells": Probe(
        "colours in each cell of 3 x 3, recall at their true number in the scene, from the mean "
        "patch of the cell",
        "recall",
        _of_cells,
    ),
    "quadrants": Probe(
        "mean red, green and blue of each quarter of a patch, explained variance, from that patch",
        "r2",
        lambda f, s: _of_patches(f, s, covered=False),
    ),
    "quadrants on objects": Probe(
        "the same on patches of which objects cover at least a tenth",
        "r2",
        lambda f, s: _of_patches(f, s, covered=True),
    ),
    **_object_probes("small", True),
    **_object_probes("large", False),
}
"""Name -> probe. Fixed before any tower was trained."""


class Ridge:
    """Ridge regression on standardised features, fitted in closed form for several penalties."""

    def __init__(self, features: Rows, targets: Targets) -> None:
        self._mean = features.mean(0, dtype=np.float64)
        self._std = features.std(0, dtype=np.float64) + 1e-6
        self.middle = targets.mean(0, dtype=np.float64)
        x = self._standard(features)
        self._values, self._vectors = np.linalg.eigh(x.T @ x / len(x))
        self._moments = self._vectors.T @ (x.T @ (targets - self.middle) / len(x))

    def _standard(self, features: Rows) -> Float[np.ndarray, "row feature"]:
        return (features - self._mean) / self._std

    def predict(self, features: Rows, penalty: float) -> Targets:
        """Returns what the regression with this penalty predicts."""
        weights = self._vectors @ (self._moments / (self._values + penalty)[:, None])
        return self._standard(features) @ weights + self.middle


def fitted(rows: ProbeRows) -> tuple[Ridge, float]:
    """Fits all rows with the penalty that does best on the last scenes, fitted on the others."""
    last = np.unique(rows.scene)
    held = rows.scene >= last[int(len(last) * (1 - _CHOOSING))]
    first = rows.of(~held)
    trial, judged = Ridge(first.features, first.targets), rows.of(held)

    def error(penalty: float) -> float:
        missed = trial.predict(judged.features, penalty) - judged.targets
        return float((missed**2).mean())

    return Ridge(rows.features, rows.targets), min(_PENALTIES, key=error)


def scored(
    score: Score, predicted: Targets, rows: ProbeRows, middle: Float[np.ndarray, " target"]
) -> tuple[Float[np.ndarray, " item"], Float[np.ndarray, " item"], Int[np.ndarray, " item"]]:
    """Returns numerator, denominator and scene of each item; the score is the ratio of their sums.

    Args:
        score: "recall": share of the true targets of a scene that are among as many highest
            predictions; "top": share of rows whose highest prediction is the true target;
            "rounded": share of rows whose prediction rounds to the target; "distance": mean
            Euclidean distance; "r2": the *unexplained* share of the variance around `middle`.
    """
    true = rows.targets
    if score == "recall":
        scenes, first = np.unique(rows.scene, return_index=True)
        predicted, true = (part.reshape(len(scenes), -1) for part in (predicted, true))
        number = true.sum(1).astype(int)
        order = np.argsort(-predicted, 1)
        ranked = np.take_along_axis(true, order, 1)
        hits = np.where(np.arange(true.shape[1]) < number[:, None], ranked, 0).sum(1)
        return hits, number.astype(np.float64), rows.scene[first]
    if score == "r2":
        left, whole = (predicted - true) ** 2, (true - middle) ** 2
        return left.sum(1), whole.sum(1), rows.scene
    if score == "distance":
        items = np.sqrt(((predicted - true) ** 2).sum(1))
    elif score == "top":
        items = (predicted.argmax(1) == true.argmax(1)).astype(np.float64)
    else:
        items = (np.rint(predicted) == true).all(1).astype(np.float64)
    return items, np.ones(len(items)), rows.scene
