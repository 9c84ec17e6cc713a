"""The best of several, judged on images that did not choose it, and curves that are looked over.

A layer, window, head or map that was picked because its estimate is the largest has an estimate
that is too large. `peak` picks it on one half of the images and judges it on the other, both ways
round. `scanned` corrects the rows of a curve for how many there are: p values (Holm) and bands that
hold the whole curve (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from ..stats import (
    cluster_ratio,
    cluster_share,
    cross_fitted,
    half_of,
    holm,
    paired_difference,
    quantile_of,
    score_ends,
    simultaneous_level,
)
from ._columns import coded, numeric
from ._tables import (
    Cell,
    Record,
    estimate,
    grouped,
    interval_columns,
    number,
    tested,
    tested_columns,
)

if TYPE_CHECKING:
    import pyarrow as pa

PEAK = {
    **dict.fromkeys(("place", "chosen"), "string"),
    "n_candidates": "int",
    **estimate("value"),
    **estimate("control"),
    **tested("difference"),
    **dict.fromkeys(("n", "n_samples"), "int"),
    "method": "string",
}
"""Columns of `peak`."""


Sums = tuple[Float[np.ndarray, "image place"], Float[np.ndarray, "image place"]]
"""Numerators and denominators of a ratio, each image's sum at each candidate."""


def peak(
    names: Sequence[str],
    labels: Sequence[str],
    ours: Sums,
    control: Sums | None = None,
    smallest: bool = False,
    share: bool = True,
) -> Record:
    """The best candidate: which it is, and what is left of it on other images.

    `place` is the best of all images, `chosen` what each half of the images is judged with (one
    name where both agree). `value`, `control` and their `difference` are over all images, each at
    the candidate that the other half chose; the difference over images that have both.

    Args:
        names: of the images. labels: of the candidates.
        smallest: the smallest is the best.
        share: the values are shares, 0 to 1.
    """
    top, bottom = ours
    used = (bottom > 0).any(0)
    record: dict[str, Cell] = {"n_candidates": int(used.sum())}
    if not used.any():
        return record
    worst = np.inf if smallest else -np.inf
    whole = np.divide(
        top.sum(0, np.float64),
        bottom.sum(0, np.float64),
        out=np.full(len(labels), worst),
        where=used,
    )
    record["place"] = labels[int(whole.argmin() if smallest else whole.argmax())]
    # Halves of the images that count, so that neither is empty.
    order = half_of([names[image] for image in np.flatnonzero((bottom > 0).any(1)).tolist()])
    if len(order) < 2:
        return record
    halves = np.array([order.get(name, 0) for name in names])
    found = cross_fitted(top, bottom, halves, smallest)
    estimated = (cluster_share if share else cluster_ratio)(found.numerator, found.denominator)
    record |= interval_columns("value", estimated) | {
        "chosen": "; ".join(dict.fromkeys(labels[place] for place in found.favourites)),
        "n": round(float(found.denominator.sum())),
        "n_samples": int((found.denominator > 0).sum()),
        "method": f"{estimated.method}; chosen on the other half of the images",
    }
    if control is None:
        return record
    rows = np.arange(len(names))
    above, below = (one[rows, found.chosen] for one in control)
    both = (found.denominator > 0) & (below > 0)
    if not both.any():
        return record
    beside = (cluster_share if share else cluster_ratio)(above[both], below[both])
    size = found.denominator[both]
    difference = paired_difference(
        found.numerator[both], above[both] / below[both] * size, sizes=size
    )
    return record | interval_columns("control", beside) | tested_columns("difference", difference)


@dataclass(frozen=True, eq=False)
class Side:
    """Rows and the columns that are summed: an effect's, or its control's.

    Attributes:
        table: both sides may have the same; no row is copied.
        top, bottom: columns of a ratio of sums; without `bottom` every row counts once. Rows whose
            `top` is undefined are left out.
        rows: (n,) numbers of the rows that count; by default all.
    """

    table: pa.Table
    top: str
    bottom: str | None = None
    rows: Int[np.ndarray, " n"] | None = None

    def known(self) -> Int[np.ndarray, " n"]:
        """Numbers of the rows that have a value."""
        if self.top not in self.table.column_names:
            return np.zeros(0, np.int64)
        rows = np.arange(self.table.num_rows) if self.rows is None else self.rows
        valid = self.table[self.top].is_valid().to_numpy()
        return rows[valid[rows]]


def peak_of(
    ours: Side,
    candidates: Sequence[str],
    control: Side | None = None,
    smallest: bool = False,
    share: bool = True,
) -> Record:
    """`peak` over the values of the columns `candidates`."""
    sides = [side for side in (ours, control) if side is not None and len(side.known())]
    if ours not in sides:
        return {"n_candidates": 0}
    names = {word: i for i, word in enumerate(sorted({w for x in sides for w in _images(x)}))}
    places, keys = _places(ours.table, candidates)
    used = np.flatnonzero(np.bincount(places[ours.known()], minlength=len(keys))).tolist()
    labels = {_label(candidates, keys[number]): place for place, number in enumerate(used)}
    del places
    sums = [_summed(side, candidates, names, labels) for side in sides]
    beside = sums[1] if len(sums) == 2 else None
    return peak([*names], [*labels], sums[0], beside, smallest, share)


def _summed(
    side: Side, candidates: Sequence[str], names: dict[str, int], labels: dict[str, int]
) -> Sums:
    """Sums of images by candidates. A study may have millions of rows: nothing is kept longer than
    it is needed."""
    rows = side.known()
    places, keys = _places(side.table, candidates)
    place_of = np.array([labels.get(_label(candidates, key), -1) for key in keys], np.int32)
    cell = place_of[places[rows]]
    del places
    rows, cell = rows[cell >= 0], cell[cell >= 0].astype(np.int64)
    images, words = coded(side.table, "sample")
    image_of = np.array([names[word] for word in words], np.int64) * len(labels)
    cell += image_of[images[rows]]
    del images
    shape = (len(names), len(labels))
    del image_of
    weights = [numeric(side.table, side.top)[rows], None]
    if side.bottom is not None:
        weights[1] = numeric(side.table, side.bottom, 0.0)[rows]
    del rows
    # Counts are exact in float32.
    top, bottom = (
        np.bincount(cell, one, shape[0] * shape[1]).astype(np.float32).reshape(shape)
        for one in weights
    )
    return top, bottom


def _images(side: Side) -> list[str]:
    return coded(side.table, "sample")[1]


def _places(
    table: pa.Table, names: Sequence[str]
) -> tuple[Int[np.ndarray, " row"], list[tuple[Cell, ...]]]:
    """Of each row the number of its candidate, and the candidates' values by number."""
    whole = np.zeros(table.num_rows, np.int32)
    values: list[tuple[Cell, ...]] = [()]
    for name in names:
        code, words = coded(table, name)
        whole *= np.int32(len(words) + 1)
        whole += code.astype(np.int32, copy=False)
        values = [(*before, word) for before in values for word in (*words, None)]
    return whole, values


_PLAIN = {"window", "method", "layers", "source", "share"}
"""Columns whose values speak for themselves."""


def _label(names: Sequence[str], values: Sequence[Cell]) -> str:
    parts = [
        str(value) if name in _PLAIN else f"{name} {value}"
        for name, value in zip(names, values, strict=True)
        if value is not None
    ]
    return ", ".join(parts)


def scanned_types(
    tests: Sequence[str] = ("difference",), band: str | None = None
) -> dict[str, str]:
    """Types of the columns that `scanned` fills."""
    ends = () if band is None else (f"{band}_size", f"{band}_freedom")
    ends += () if band is None else (f"{band}_band_low", f"{band}_band_high")
    return {**dict.fromkeys((f"{name}_p_corrected" for name in tests), "float"),
            **dict.fromkeys(ends, "float")}  # fmt: skip


def scanned(
    records: Sequence[Record],
    curve: Sequence[str],
    tests: Sequence[str] = ("difference",),
    band: str | None = None,
) -> list[Record]:
    """Records with p values corrected within each curve and a band that holds all of it.

    Args:
        curve: columns that say which rows are looked over together.
        tests: names whose `_p` column gets a `_p_corrected` beside it.
        band: name of an estimate; its columns `_size` (of a share, else None) and `_freedom` are
            needed; see `Interval`.
    """
    groups = grouped([dict(record) for record in records], curve)
    for rows in groups.values():
        for name in tests:
            corrected = holm([_float(row.get(f"{name}_p")) for row in rows])
            for row, p in zip(rows, corrected, strict=True):
                row[f"{name}_p_corrected"] = p
        if band is not None:
            known = [row for row in rows if row.get(f"{band}_low") is not None]
            for row in known:
                low, high = _widened(row, band, simultaneous_level(len(known)))
                row[f"{band}_band_low"], row[f"{band}_band_high"] = low, high
    # In the order they came.
    queues = {key: iter(rows) for key, rows in groups.items()}
    return [next(queues[tuple(record.get(key) for key in curve)]) for record in records]


def _widened(row: Record, name: str, level: float) -> tuple[float | None, float | None]:
    value, low, high = (float(row[f"{name}{end}"] or 0) for end in ("", "_low", "_high"))
    freedom, size = _float(row.get(f"{name}_freedom")), _float(row.get(f"{name}_size"))
    if freedom is None:
        return None, None
    quantile = quantile_of(freedom, level)
    if size is not None:
        return score_ends(value, size, quantile)
    half = (high - low) / 2 * quantile / quantile_of(freedom, 0.95)
    return value - half, value + half


def _float(value: Cell) -> float | None:
    return None if value is None else number(float(value))
