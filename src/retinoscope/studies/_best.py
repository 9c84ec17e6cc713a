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

    def of(self, rows: pl.DataFrame, value: pl.Expr) -> pl.DataFrame:
        """The rows of the candidates with `value` in the column "value"."""
        return rows.filter(self.where).with_columns(value=value.cast(pl.Float64))


def peak(
    candidates: Candidates, ours: pl.DataFrame, control: pl.DataFrame | None, smallest: bool = False
) -> dict[str, Scalar]:
    """`best` of the candidates, of rows with the columns "sample" and "value".

    Args:
        ours, control: rows whose value is undefined are left out; with a column "total" a value is
            the numerator of a ratio.
    """
    keys = [*candidates.columns]
    if not ours["value"].count():
        return {"n_candidates": 0}
    sides = [ours] if control is None or not control["value"].count() else [ours, control]
    known = ours.filter(pl.col("value").is_not_null()).select(keys).unique().sort(keys)
    images = pl.concat([side.select("sample") for side in sides]).unique().sort("sample")
    sums = [_summed(side, keys, known, images) for side in sides]
    labels = [candidates.label(*row) for row in known.rows()]
    return best(
        images["sample"].to_list(), labels, sums[0], sums[1] if sums[1:] else None, smallest
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


def _summed(rows: pl.DataFrame, keys: list[str], known: pl.DataFrame, images: pl.DataFrame) -> Sums:
    """Sums of images by candidates."""
    total = pl.col("total") if "total" in rows.columns else pl.lit(1.0)
    cells = (
        rows.filter(pl.col("value").is_not_null())
        .group_by("sample", *keys)
        .agg(top=pl.col("value").sum(), bottom=total.sum() if "total" in rows.columns else pl.len())
        .join(images.with_row_index("_image"), on="sample")
        .join(known.with_row_index("_candidate"), on=keys, nulls_equal=True)
    )
    found = np.zeros((2, images.height, known.height), np.float32)
    found[:, cells["_image"].to_numpy(), cells["_candidate"].to_numpy()] = (
        cells["top"].to_numpy(),
        cells["bottom"].to_numpy(),
    )
    return found[0], found[1]


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
