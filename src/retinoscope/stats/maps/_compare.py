"""All metrics at once, against whatever is known of where people looked."""

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
    """What a metric means.

    Attributes:
        name: its key in `METRICS`.
        label: for tables and figures.
        better: 1 where higher is better, -1 where lower is.
        chance: the value of a map that knows nothing, where there is one such value.
    """

    name: str
    label: str
    better: int
    chance: float | None = None


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        one.name: one
        for one in (
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
        density: (H, W) map, not negative.
        fixations: (n, 2) x and y in pixels.
        others: (m, 2) fixations of other images, in pixels of this one.
        baseline: (H, W) what is known without having seen the image, for the information gain.
    """

    density: Map | None = None
    fixations: Float[np.ndarray, "fixation 2"] | None = None
    others: Float[np.ndarray, "other 2"] | None = None
    baseline: Map | None = None


@checked
def compare(
    ours: Map,
    reference: Reference,
    metrics: Sequence[str] = tuple(METRICS),
    *,
    repeats: bool = True,
    negatives: Negatives = "refuse",
    resize: Resize | None = None,
    grid: int = 16,
) -> dict[str, MapScore]:
    """The scores of one map by name; what the reference does not allow is NaN with its reason.

    Args:
        ours: (H, W).
        metrics: keys of `METRICS`.
        repeats: of NSS, AUC (Borji), AUC (shuffled) and information gain; AUC (Judd) takes each
            pixel once, by its definition.
        negatives: of the metrics that take the map as a density (KL, SIM, information gain, EMD);
            those of the MIT code begin at the map's minimum, whatever it is.
        resize: how the map gets the reference's size; refused if None and they differ.
        grid: see `emd`.

    Raises:
        InputError: another metric, or what the metrics refuse.
    """
    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise InputError(f"expected metrics among {', '.join(METRICS)}, got {unknown[0]!r}")
    values = map_of(ours, "the map")
    told: dict[str, str | int | float | bool] = {}
    if (
        shown := reference.density if reference.density is not None else reference.baseline
    ) is not None:
        values, told = fit(values, np.asarray(shown).shape, resize)
    found = {}
    for name in metrics:
        score = _one(name, values, reference, repeats, negatives, grid)
        found[name] = MapScore(name, score.value, score.n, {**told, **score.settings}, score.reason)
    return found


def _one(
    name: str, values: Map, known: Reference, repeats: bool, negatives: Negatives, grid: int
) -> MapScore:
    if name in ("ncc", "kl", "sim", "sim_mit", "emd"):
        if known.density is None:
            return undefined(name, "no density of where people looked")
        if name == "ncc":
            return ncc(values, known.density)
        if name == "emd":
            return emd(values, known.density, grid=grid, negatives=negatives)
        if name == "sim_mit":
            return similarity_mit(values, known.density)
        return (kl if name == "kl" else similarity)(values, known.density, negatives=negatives)
    if known.fixations is None:
        return undefined(name, "no fixations, only a map")
    if name == "nss":
        return nss(values, known.fixations, repeats=repeats)
    if name == "auc_judd":
        return auc_judd(values, known.fixations)
    if name == "auc_borji":
        return auc_borji(values, known.fixations, repeats=repeats)
    if name == "auc_shuffled":
        if known.others is None:
            return undefined(name, "no fixation of another image")
        return auc_shuffled(values, known.fixations, known.others, repeats=repeats)
    if known.baseline is None:
        return undefined(name, "no baseline")
    if name == "information_gain_mit":
        return information_gain_mit(values, known.fixations, known.baseline)
    return information_gain(
        values, known.fixations, known.baseline, repeats=repeats, negatives=negatives
    )
