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
from ._columns import coded, numeric, split
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


@dataclass(frozen=True)
class Cells:
    """Sums of each image at each candidate, from items: an image may have none at a candidate.

    Attributes:
        images, places: (n,) the image and the candidate of each item, as numbers from 0.
        top, bottom: (n,) what is summed; the estimate is a ratio of the sums.
    """

    images: Int[np.ndarray, " n"]
    places: Int[np.ndarray, " n"]
    top: Float[np.ndarray, " n"]
    bottom: Float[np.ndarray, " n"]

    def summed(self, n_images: int, n_places: int) -> tuple[np.ndarray, np.ndarray]:
        """(n_images, n_places) sums of `top` and of `bottom`."""
        cell = self.images * n_places + self.places
        top, bottom = (
            np.bincount(cell, one, n_images * n_places).reshape(n_images, n_places)
            for one in (self.top, self.bottom)
        )
        return top, bottom


def peak(
    names: Sequence[str],
    labels: Sequence[str],
    ours: Cells,
    control: Cells | None = None,
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
    top, bottom = ours.summed(len(names), len(labels))
    used = (bottom > 0).any(0)
    record: dict[str, Cell] = {"n_candidates": int(used.sum())}
    if not used.any():
        return record
    worst = np.inf if smallest else -np.inf
    whole = np.divide(top.sum(0), bottom.sum(0), out=np.full(len(labels), worst), where=used)
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
    above, below = (one[rows, found.chosen] for one in control.summed(len(names), len(labels)))
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
        table: rows, none with an error.
        top, bottom: columns of a ratio of sums; without `bottom` every row counts once. Rows whose
            `top` is undefined are left out.
    """

    table: pa.Table
    top: str
    bottom: str | None = None

    def known(self) -> pa.Table:
        """The rows that have a value."""
        if self.top not in self.table.column_names:
            return self.table.slice(0, 0)
        return self.table.filter(self.table[self.top].is_valid())


def peak_of(
    ours: Side,
    candidates: Sequence[str],
    control: Side | None = None,
    smallest: bool = False,
    share: bool = True,
) -> Record:
    """`peak` over the values of the columns `candidates`."""
    sides = [side for side in (ours, control) if side is not None and side.known().num_rows]
    if ours not in sides:
        return {"n_candidates": 0}
    defined = [side.known() for side in sides]
    images = [coded(table, "sample") for table in defined]
    names = sorted({name for _, words in images for name in words})
    image_of = {name: number for number, name in enumerate(names)}
    parts = [list(split(table, candidates)) for table in defined]
    place_of = {key: number for number, (key, _) in enumerate(parts[0])}
    cells = []
    for side, table, (codes, words), groups in zip(sides, defined, images, parts, strict=True):
        places = np.full(table.num_rows, -1)
        for key, rows in groups:
            places[rows] = place_of.get(key, -1)
        kept = np.flatnonzero(places >= 0)
        number_of = np.array([image_of[word] for word in words], np.int64)
        top = numeric(table, side.top).astype(np.float64)
        bottom = np.ones(len(top)) if side.bottom is None else numeric(table, side.bottom, 0.0)
        cells.append(Cells(number_of[codes][kept], places[kept], top[kept], bottom[kept]))
    labels = [_label(candidates, key) for key in place_of]
    return peak(names, labels, cells[0], cells[1] if len(cells) == 2 else None, smallest, share)


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
