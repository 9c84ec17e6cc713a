"""All metrics at once, as far as the reference allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from ...arguments import checked
from ...errors import InputError
from ._auc import auc_borji, auc_judd, auc_shuffled
from ._check import Map, Negatives, fit, map_of
from ._density import information_gain, information_gain_mit, kl, similarity, similarity_mit
from ._linear import ncc, nss
from ._resample import Resize
from ._transport import emd
from ._types import MapScore, undefined


@dataclass(frozen=True)
class Metric:
    """A metric's label, direction and chance level.

    Attributes:
        name: its key in `METRICS`.
        label: for tables and figures.
        better: 1 where higher is better, -1 where lower is.
        chance: the score of an uninformative map, where there is a single such value.
    """

    name: str
    label: str
    better: int
    chance: float | None = None


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric("ncc", "NCC", 1, 0.0),
            Metric("auc_judd", "AUC (Judd)", 1, 0.5),
            Metric("auc_borji", "AUC (Borji)", 1, 0.5),
            Metric("auc_shuffled", "AUC (shuffled)", 1, 0.5),
            Metric("nss", "NSS", 1, 0.0),
            Metric("kl", "KL", -1),
            Metric("sim", "SIM", 1),
            Metric("sim_mit", "SIM (MIT code)", 1),
            Metric("information_gain", "information gain", 1, 0.0),
            Metric("information_gain_mit", "information gain (MIT code)", 1, 0.0),
            Metric("emd", "EMD", -1),
        )
    }
)
"""The metrics of `compare`, by name."""


@dataclass(frozen=True, eq=False)
class Reference:
    """Where people looked, as far as it is known.

    Attributes:
        density: (H, W) map without negative values.
        fixations: (n, 2) x and y in pixels.
        others: (m, 2) fixations of other images, in pixels of this one.
        baseline: (H, W) prediction made without seeing the image, for the information gain.
    """

    density: Map | None = None
    fixations: Float[np.ndarray, "fixation 2"] | None = None
    others: Float[np.ndarray, "other 2"] | None = None
    baseline: Map | None = None


@checked
def compare(
    predicted: Map,
    reference: Reference,
    metrics: Sequence[str] = tuple(METRICS),
    *,
    repeats: bool = True,
    negatives: Negatives = "refuse",
    resize: Resize | None = None,
    grid: int = 16,
) -> dict[str, MapScore]:
    """Scores one map by every metric; what the reference does not allow is NaN with its reason.

    Args:
        predicted: (H, W).
        metrics: keys of `METRICS`.
        repeats: count repeated fixations in NSS, AUC (Borji), AUC (shuffled) and information gain;
            AUC (Judd) counts each pixel once by definition.
        negatives: treatment of negative values by the metrics that take the map as a density (KL,
            SIM, information gain, EMD); those of the MIT code subtract the minimum in any case.
        resize: how to bring the map to the reference's size; None refuses sizes that differ.
        grid: see `emd`.

    Raises:
        InputError: an unknown metric, or input that a metric refuses.
    """
    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise InputError(f"expected metrics among {', '.join(METRICS)}, got {unknown[0]!r}")
    values = map_of(predicted, "the map")
    resized: dict[str, str | int | float | bool] = {}
    target = reference.density if reference.density is not None else reference.baseline
    if target is not None:
        values, resized = fit(values, np.asarray(target).shape, resize)
    scores = {}
    for name in metrics:
        score = _score(name, values, reference, repeats, negatives, grid)
        settings = {**resized, **score.settings}
        scores[name] = MapScore(name, score.value, score.n, settings, score.reason)
    return scores


def _score(
    name: str, values: Map, reference: Reference, repeats: bool, negatives: Negatives, grid: int
) -> MapScore:
    if name in ("ncc", "kl", "sim", "sim_mit", "emd"):
        if reference.density is None:
            return undefined(name, "no density of where people looked")
        if name == "ncc":
            return ncc(values, reference.density)
        if name == "emd":
            return emd(values, reference.density, grid=grid, negatives=negatives)
        if name == "sim_mit":
            return similarity_mit(values, reference.density)
        return (kl if name == "kl" else similarity)(values, reference.density, negatives=negatives)
    if reference.fixations is None:
        return undefined(name, "no fixations, only a map")
    if name == "nss":
        return nss(values, reference.fixations, repeats=repeats)
    if name == "auc_judd":
        return auc_judd(values, reference.fixations)
    if name == "auc_borji":
        return auc_borji(values, reference.fixations, repeats=repeats)
    if name == "auc_shuffled":
        if reference.others is None:
            return undefined(name, "no fixation of another image")
        return auc_shuffled(values, reference.fixations, reference.others, repeats=repeats)
    if reference.baseline is None:
        return undefined(name, "no baseline")
    if name == "information_gain_mit":
        return information_gain_mit(values, reference.fixations, reference.baseline)
    return information_gain(
        values, reference.fixations, reference.baseline, repeats=repeats, negatives=negatives
    )
