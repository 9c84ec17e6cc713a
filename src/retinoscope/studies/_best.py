"""The best of several, judged on images that did not choose it, and curves that are looked over.

A layer, window, head or map that was picked because its estimate is the largest has an estimate
that is too large. `peak` picks it on one half of the images and judges it on the other, both ways
round. `corrected` corrects the records of a curve for how many there are: p values (Holm) and bands
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
"""Numerators and denominators of a ratio, each image's sum at each candidate."""


@dataclass(frozen=True)
class Candidates:
    """Values of the columns `columns`, in rows that `where` holds for, and how they are called."""

    columns: tuple[str, ...]
    where: pl.Expr = field(default_factory=lambda: pl.lit(True))
    label: Callable[..., str] = str


class CandidateSums:
    """Each image's sum at each candidate, from the rows of a part a few at a time.

    Memory goes with images times candidates, whatever the number of rows.
    """

    def __init__(self, candidates: Candidates) -> None:
        self.n_rows = 0
        self._candidates = candidates
        self._names: dict[int, str] = {}
        self._sums: dict[tuple, Float[np.ndarray, "2 image"]] = {}

    def add(self, rows: pl.DataFrame, value: pl.Expr) -> None:
        """Counts the rows of these candidates; their column "sample" is a polars.Categorical."""
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
        """Those that have a value, in their order."""
        return sorted(self._sums, key=lambda one: [(value is not None, value) for value in one])

    @property
    def images(self) -> dict[int, str]:
        """Names of the images by the numbers that polars gives them."""
        return self._names

    def of(self, candidates: Sequence[tuple], images: Sequence[int]) -> Sums:
        """The sums of these candidates and images; 0 where there is no row."""
        top, bottom = np.zeros((2, len(images), len(candidates)), np.float32)
        order = np.array(images, np.int64)
        for place, candidate in enumerate(candidates):
            if (held := self._sums.get(candidate)) is not None:
                known = order < held.shape[1]
                top[known, place], bottom[known, place] = held[:, order[known]]
        return top, bottom


def peak(
    candidates: Candidates,
    ours: CandidateSums,
    control: CandidateSums | None,
    smallest: bool = False,
) -> dict[str, Scalar]:
    """`best` of the candidates."""
    known = ours.candidates
    if not known:
        return {"n_candidates": 0}
    if control is not None and not control.candidates:
        control = None
    images = ours.images | ({} if control is None else control.images)
    order = sorted(images, key=images.__getitem__)
    return best(
        [images[image] for image in order],
        [candidates.label(*one) for one in known],
        ours.of(known, order),
        None if control is None else control.of(known, order),
        smallest,
    )


def best(
    images: Sequence[str],
    labels: Sequence[str],
    ours: Sums,
    control: Sums | None = None,
    smallest: bool = False,
) -> dict[str, Scalar]:
    """The best candidate: which it is, and what is left of it on other images.

    `place` is the best of all images, `chosen` what each half of the images is judged with (one
    name where both agree). `value`, `control` and their `difference` are over all images, each at
    the candidate that the other half chose; the difference over images that have both.

    Args:
        smallest: the smallest is the best.
    """
    top, bottom = ours
    used = (bottom > 0).any(0)
    record: dict[str, Scalar] = {"n_candidates": int(used.sum())}
    if not used.any():
        return record
    sums = top.sum(0, np.float64), bottom.sum(0, np.float64)
    whole = np.divide(*sums, out=np.full(len(labels), np.inf if smallest else -np.inf), where=used)
    record["place"] = labels[int(whole.argmin() if smallest else whole.argmax())]
    # Halves of the images that count, so that neither is empty.
    order = half_of([images[image] for image in np.flatnonzero((bottom > 0).any(1)).tolist()])
    if len(order) < 2:
        return record
    halves = np.array([order.get(name, 0) for name in images])
    found = cross_fitted(top, bottom, halves, smallest)
    estimated = cluster_share(found.numerator, found.denominator)
    record |= interval_columns("value", estimated) | {
        "chosen": "; ".join(dict.fromkeys(labels[place] for place in found.favourites)),
        "n": round(float(found.denominator.sum())),
        "n_samples": int((found.denominator > 0).sum()),
        "method": f"{estimated.method}; chosen on the other half of the images",
    }
    if control is None:
        return record
    rows = np.arange(len(images))
    above, below = (one[rows, found.chosen] for one in control)
    both = (found.denominator > 0) & (below > 0)
    if not both.any():
        return record
    size = found.denominator[both]
    difference = paired_difference(
        found.numerator[both], above[both] / below[both] * size, sizes=size
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
    """Records with p values corrected within each curve and a band that holds all of it.

    Args:
        curves: which curve each record belongs to.
        tests: names whose column `_p` gets a `_p_corrected` beside it.
        bands: names of estimates that get `_band_low` and `_band_high`; their columns `_size` (of a
            share, else None) and `_freedom` are needed; see `stats.Interval`.
    """
    found = [dict(record) for record in records]
    of_curve: dict[Hashable, list[dict[str, Scalar]]] = {}
    for record, curve in zip(found, curves, strict=True):
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
    return found


def interval_columns(name: str, interval: Interval) -> dict[str, Scalar]:
    """`name`, `name`_low and `name`_high; None in place of NaN."""
    values = {"": interval.value, "_low": interval.low, "_high": interval.high}
    return {name + end: number(value) for end, value in values.items()}


def interval_kinds(name: str) -> dict[str, Kind]:
    """What the columns of `interval_columns` hold."""
    return dict.fromkeys((name, f"{name}_low", f"{name}_high"), NUMBER)


def test_columns(name: str, difference: PairedDifference) -> dict[str, Scalar]:
    """`interval_columns`, the p value `name`_p, and the number of pairs `name`_n."""
    return interval_columns(name, difference) | {
        f"{name}_p": number(difference.p),
        f"{name}_n": difference.n,
    }


def test_kinds(name: str) -> dict[str, Kind]:
    """What the columns of `test_columns` hold."""
    return interval_kinds(name) | {f"{name}_p": NUMBER, f"{name}_n": WHOLE}


def number(value: float | None) -> float | None:
    """None in place of NaN."""
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
