"""The best of several candidates, judged on images that did not choose it; corrected curves.

The estimate of a layer, window, head or map that was chosen because its estimate is the largest is
biased upwards. `peak` chooses on one half of the images and judges on the other, in both
directions. `corrected` corrects the records of a curve for their number: p values (Holm) and bands
that hold the whole curve (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from jaxtyping import Float

from ..stats import (
    Interval,
    PairedDifference,
    cluster_share,
    cross_fitted,
    half_of,
    holm,
    paired_difference,
    quantile_of,
    score_ends,
    simultaneous_level,
)
from ..store import Scalar
from .columns import NUMBER, TEXT, WHOLE, Kind

PEAK: dict[str, Kind] = {
    "place": TEXT,
    "chosen": TEXT,
    "n_candidates": WHOLE,
    **dict.fromkeys(("value", "value_low", "value_high"), NUMBER),
    **dict.fromkeys(("control", "control_low", "control_high"), NUMBER),
    **dict.fromkeys(("difference", "difference_low", "difference_high", "difference_p"), NUMBER),
    "n": WHOLE,
    "n_samples": WHOLE,
    "method": TEXT,
}
"""Columns of `peak`."""
Sums = tuple[Float[np.ndarray, "image candidate"], Float[np.ndarray, "image candidate"]]
"""Numerators and denominators of a ratio: each image's sums at each candidate."""


@dataclass(frozen=True)
class Candidates:
    """Candidates by the columns `columns`, in rows where `where` holds, with labels."""

    columns: tuple[str, ...]
    where: pl.Expr = field(default_factory=lambda: pl.lit(True))
    label: Callable[..., str] = str


class CandidateSums:
    """Each image's sum at each candidate, accumulated over frames of rows.

    Memory grows with images times candidates, whatever the number of rows.
    """

    def __init__(self, candidates: Candidates) -> None:
        self.n_rows = 0
        self._candidates = candidates
        self._names: dict[int, str] = {}
        self._sums: dict[tuple, Float[np.ndarray, "2 image"]] = {}

    def add(self, rows: pl.DataFrame, value: pl.Expr) -> None:
        """Adds the rows of these candidates; their column "sample" is a polars.Categorical."""
        chosen = rows.filter(self._candidates.where)
        self.n_rows += chosen.height
        columns = self._candidates.columns
        cells = (
            chosen.select("sample", *columns, value=value.cast(pl.Float64))
            .drop_nulls("value")
            .group_by("sample", *columns)
            .agg(pl.col("value").sum(), pl.len())
        )
        images = cells["sample"].unique()
        self._names |= zip(images.to_physical().to_list(), images.to_list(), strict=True)
        for candidate, some in cells.partition_by(columns, as_dict=True).items():
            image = some["sample"].to_physical().to_numpy()
            held = self._sums.get(candidate, np.zeros((2, 0), np.float32))
            if (more := 1 + int(image.max()) - held.shape[1]) > 0:
                held = np.pad(held, ((0, 0), (0, more)))
            held[:, image] += some["value"].to_numpy(), some["len"].to_numpy()
            self._sums[candidate] = held

    @property
    def candidates(self) -> list[tuple]:
        """The candidates that have a value, sorted; undefined columns come first."""
        return sorted(self._sums, key=lambda key: [(value is not None, value) for value in key])

    @property
    def images(self) -> dict[int, str]:
        """Image names by their polars category number."""
        return self._names

    def of(self, candidates: Sequence[tuple], images: Sequence[int]) -> Sums:
        """Returns the sums of these candidates and images; 0 where there is no row."""
        top, bottom = np.zeros((2, len(images), len(candidates)), np.float32)
        order = np.array(images, np.int64)
        for place, candidate in enumerate(candidates):
            if (held := self._sums.get(candidate)) is not None:
                known = order < held.shape[1]
                top[known, place], bottom[known, place] = held[:, order[known]]
        return top, bottom


def peak(
    candidates: Candidates,
    measured: CandidateSums,
    control: CandidateSums | None,
    smallest: bool = False,
) -> dict[str, Scalar]:
    """Returns `best` of the candidates."""
    known = measured.candidates
    if not known:
        return {"n_candidates": 0}
    if control is not None and not control.candidates:
        control = None
    images = measured.images | ({} if control is None else control.images)
    order = sorted(images, key=images.__getitem__)
    return best(
        [images[image] for image in order],
        [candidates.label(*candidate) for candidate in known],
        measured.of(known, order),
        None if control is None else control.of(known, order),
        smallest,
    )


def best(
    images: Sequence[str],
    labels: Sequence[str],
    measured: Sums,
    control: Sums | None = None,
    smallest: bool = False,
) -> dict[str, Scalar]:
    """Returns the best candidate, and its value on images that did not choose it.

    `place` is the best over all images, `chosen` the one with which each half of the images is
    judged (one name if both agree). `value`, `control` and their `difference` are over all images,
    each at the candidate chosen by the other half; the difference is over images that have both.

    Args:
        images: names of the images.
        labels: names of the candidates.
        measured, control: sums by image and candidate.
        smallest: whether the smallest value is the best.
    """
    top, bottom = measured
    used = (bottom > 0).any(0)
    record: dict[str, Scalar] = {"n_candidates": int(used.sum())}
    if not used.any():
        return record
    sums = top.sum(0, np.float64), bottom.sum(0, np.float64)
    whole = np.divide(*sums, out=np.full(len(labels), np.inf if smallest else -np.inf), where=used)
    record["place"] = labels[int(whole.argmin() if smallest else whole.argmax())]
    # Split only images that count, so that neither half is empty.
    order = half_of([images[image] for image in np.flatnonzero((bottom > 0).any(1)).tolist()])
    if len(order) < 2:
        return record
    halves = np.array([order.get(name, 0) for name in images])
    fitted = cross_fitted(top, bottom, halves, smallest)
    estimated = cluster_share(fitted.numerator, fitted.denominator)
    record |= interval_columns("value", estimated) | {
        "chosen": "; ".join(dict.fromkeys(labels[place] for place in fitted.favourites)),
        "n": round(float(fitted.denominator.sum())),
        "n_samples": int((fitted.denominator > 0).sum()),
        "method": f"{estimated.method}; chosen on the other half of the images",
    }
    if control is None:
        return record
    rows = np.arange(len(images))
    above, below = (sums[rows, fitted.chosen] for sums in control)
    both = (fitted.denominator > 0) & (below > 0)
    if not both.any():
        return record
    size = fitted.denominator[both]
    difference = paired_difference(
        fitted.numerator[both], above[both] / below[both] * size, sizes=size
    )
    record |= interval_columns("control", cluster_share(above[both], below[both]))
    return (
        record | interval_columns("difference", difference) | {"difference_p": number(difference.p)}
    )


def corrected(
    records: Sequence[dict[str, Scalar]],
    curves: Sequence[Hashable],
    tests: Sequence[str],
    bands: Sequence[str],
) -> list[dict[str, Scalar]]:
    """Returns records with p values corrected within each curve and a band that holds all of it.

    Args:
        records: the records.
        curves: the curve to which each record belongs.
        tests: names whose column `_p` gets a corrected one, `_p_corrected`.
        bands: names of estimates that get `_band_low` and `_band_high`, from their columns `_size`
            (None unless a share) and `_freedom`; see `stats.Interval`.
    """
    results = [dict(record) for record in records]
    of_curve: dict[Hashable, list[dict[str, Scalar]]] = {}
    for record, curve in zip(results, curves, strict=True):
        of_curve.setdefault(curve, []).append(record)
    for rows in of_curve.values():
        for name in tests:
            for row, p in zip(rows, holm([_float(row, f"{name}_p") for row in rows]), strict=True):
                row[f"{name}_p_corrected"] = p
        for name in bands:
            known = [row for row in rows if row.get(f"{name}_low") is not None]
            for row in known:
                ends = _widened(row, name, simultaneous_level(len(known)))
                row[f"{name}_band_low"], row[f"{name}_band_high"] = ends
    return results


def interval_columns(name: str, interval: Interval) -> dict[str, Scalar]:
    """Returns the columns `name`, `name`_low and `name`_high; None in place of NaN."""
    values = {"": interval.value, "_low": interval.low, "_high": interval.high}
    return {name + end: number(value) for end, value in values.items()}


def interval_kinds(name: str) -> dict[str, Kind]:
    """Returns the kinds of the columns of `interval_columns`."""
    return dict.fromkeys((name, f"{name}_low", f"{name}_high"), NUMBER)


def test_columns(name: str, difference: PairedDifference) -> dict[str, Scalar]:
    """Returns `interval_columns`, the p value `name`_p, and the number of pairs `name`_n."""
    return interval_columns(name, difference) | {
        f"{name}_p": number(difference.p),
        f"{name}_n": difference.n,
    }


def test_kinds(name: str) -> dict[str, Kind]:
    """Returns the kinds of the columns of `test_columns`."""
    return interval_kinds(name) | {f"{name}_p": NUMBER, f"{name}_n": WHOLE}


def number(value: float | None) -> float | None:
    """Returns the number, or None in place of NaN."""
    return None if value is None or math.isnan(value) else float(value)


def _widened(row: dict[str, Scalar], name: str, level: float) -> tuple[float | None, float | None]:
    value, low, high = (_float(row, f"{name}{end}") or 0.0 for end in ("", "_low", "_high"))
    freedom, size = _float(row, f"{name}_freedom"), _float(row, f"{name}_size")
    if freedom is None:
        return None, None
    quantile = quantile_of(freedom, level)
    if size is not None:
        return score_ends(value, size, quantile)
    half = (high - low) / 2 * quantile / quantile_of(freedom, 0.95)
    return value - half, value + half


def _float(row: dict[str, Scalar], name: str) -> float | None:
    value = row.get(name)
    return None if value is None else number(float(value))
