"""The lens at its best layer, chosen on other images, at each cover and against each control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ...report.findings import PairedTest
from ...stats import cluster_share, half_of, paired_difference
from .._tables import (
    Cell,
    Record,
    estimate,
    interval_columns,
    make_table,
    number,
    tested,
    tested_columns,
)
from .best_layer import coded_rows, measured

MEASURE = "strict"
CONTROLS = (
    ("background", "trained"),
    ("shuffled", "trained"),
    ("object", "untrained"),
    ("object", "random adapter"),
    ("object", "untrained language"),
)
"""Groups and weights that an object's tokens are compared with."""
_PEAK = {
    "cover": "float",
    "layers": "string",
    "last_layer": "int",
    **estimate("share"),
    **dict.fromkeys(("control_group", "control_weights"), "string"),
    "control_cover": "float",
    **estimate("control_share"),
    **tested("difference"),
    **dict.fromkeys(("n_objects", "n_images"), "int"),
    "method": "string",
}

Key = tuple[str, str, float | None]


@dataclass(frozen=True)
class _Shares:
    """`shares` is (objects, layers), of tokens that say the name; `images` has each object's."""

    objects: tuple[tuple[str, int], ...]
    shares: np.ndarray

    @property
    def images(self) -> list[str]:
        return [image for image, _ in self.objects]


def peaks(table: pa.Table) -> pa.Table:
    """One row per cover and control: the share of an object's tokens that say its name.

    A peak that is found by looking is too high for the images that were looked at. So an image
    counts at the layer that was best on the *other* half of the images;
    `layers` says which they are. `share` and `control_share` are means over the same objects,
    `difference` is the one minus the other, with the p value of a sign-flip test over images. The
    last rows compare one cover with another one (`control_cover`) in place of a control.
    """
    rows = measured(table)
    found = _shares_of(rows)
    covers = sorted({cover for group, weights, cover in found if (group, weights) == _OWN}, key=_at)
    own = {cover: _at_best(found[*_OWN, cover], found[*_OWN, cover]) for cover in covers}
    last = int(rows["layer"].to_numpy().max(initial=0))
    records: list[Record] = []
    for cover in covers:
        others: list[tuple[Key, Mapping[tuple[str, int], float]]] = []
        for group, weights in CONTROLS:
            key = (group, weights, None if group == "background" else cover)
            if key in found:
                others.append((key, _at_best(found[key], found[*_OWN, cover])))
        others += [((*_OWN, other), own[other]) for other in covers if _at(other) < _at(cover)]
        layers = sorted(set(_layers(found[*_OWN, cover]).values()))
        for key, theirs in others or [(None, {})]:
            base: Record = {
                "cover": cover,
                "layers": ", ".join(map(str, layers)),
                "last_layer": last,
            }
            records.append({**base, **_compared(own[cover], key, theirs)})
    records.sort(key=peak_order)
    return make_table(records, _PEAK)


def peak_objects(table: pa.Table) -> pa.Table:
    """One row per object and cover: its share at the layer that other images chose."""
    found = _shares_of(measured(table))
    rows: list[Record] = [
        {"sample": sample, "item": item, "cover": cover, "share": share}
        for (group, weights, cover), own in found.items()
        if (group, weights) == _OWN
        for (sample, item), share in _at_best(own, own).items()
    ]
    rows.sort(key=object_order)
    return make_table(rows, _OBJECTS)


def object_order(record: Record) -> tuple[float, str, int]:
    """Sorts the records of `peak_objects`."""
    return (_at(record["cover"]), str(record["sample"]), int(record["item"] or 0))  # type: ignore[arg-type]


def lens_difference(
    ours: Sequence[Mapping[str, Cell]], theirs: Sequence[Mapping[str, Cell]], cover: float | None
) -> PairedTest | None:
    """Share in one model minus that in another, over the same objects of the same data.

    Args:
        ours, theirs: records of two runs' "objects" tables.

    Returns: None where they have no object in common.
    """
    a, b = (
        {
            (row["sample"], row["item"]): float(row["share"] or 0)
            for row in rows
            if row["cover"] == cover
        }
        for rows in (ours, theirs)
    )
    both = [key for key in a if key in b]
    if not both:
        return None
    found = paired_difference([a[k] for k in both], [b[k] for k in both], [str(k[0]) for k in both])
    return PairedTest(
        found.value, number(found.low), number(found.high), number(found.p), found.n_groups
    )


_OWN = ("object", "trained")
_OBJECTS = {"sample": "string", "item": "int", "cover": "float", "share": "float"}


def peak_order(record: Record) -> tuple[float, bool, int, float]:
    """Sorts the records of `peaks`."""
    key = (record.get("control_group"), record.get("control_weights"))
    place = CONTROLS.index(key) if key in CONTROLS else -1  # type: ignore[arg-type]
    return (_at(record["cover"]), key == _OWN, place, _at(record.get("control_cover")))  # type: ignore[arg-type]


def _at(cover: float | None) -> float:
    return -1.0 if cover is None else float(cover)


def _shares_of(rows: pa.Table) -> dict[Key, _Shares]:
    shares = rows[MEASURE].to_numpy() / rows["n_tokens"].to_numpy()
    layers = rows["layer"].to_numpy()
    n_layers = 1 + int(layers.max(initial=0))
    found: dict[Key, _Shares] = {}
    group, first = coded_rows(rows.select(["group", "weights", "cover"]))
    keys = rows.select(["group", "weights", "cover"]).take(pa.array(first)).to_pylist()
    for index, key in enumerate(keys):
        chosen = np.flatnonzero(group == index)
        mine = rows.select(["sample", "item"]).take(pa.array(chosen))
        number_of, firsts = coded_rows(mine)
        matrix = np.zeros((len(firsts), n_layers))
        matrix[number_of, layers[chosen]] = shares[chosen]
        named = mine.take(pa.array(firsts)).to_pylist()
        objects = tuple((row["sample"], row["item"]) for row in named)
        found[key["group"], key["weights"], key["cover"]] = _Shares(objects, matrix)
    return found


def _layers(own: _Shares) -> dict[int, int]:
    """Half of the images -> the layer that is best on the other one."""
    half = half_of(own.images)
    side = np.array([half[image] for image in own.images])
    chosen = {}
    for mine in (0, 1):
        other = own.shares[side != mine]
        # One image has no other half.
        chosen[mine] = int((other if len(other) else own.shares).mean(0).argmax())
    return {mine: chosen[mine] for mine in sorted(set(half.values()))}


def _at_best(shares: _Shares, own: _Shares) -> dict[tuple[str, int], float]:
    """Each object's share at the layer that `own` has on the other half of the images."""
    half, layers = half_of(own.images), _layers(own)
    return {
        key: float(shares.shares[row, layers[half[key[0]]]])
        for row, key in enumerate(shares.objects)
        if key[0] in half
    }


def _compared(
    own: Mapping[tuple[str, int], float],
    key: Key | None,
    theirs: Mapping[tuple[str, int], float],
) -> Record:
    objects = [one for one in own if one in theirs] if theirs else list(own)
    images = [image for image, _ in objects]
    share = cluster_share([own[one] for one in objects], groups=images)
    record: Record = {
        **interval_columns("share", share),
        "n_objects": len(objects),
        "n_images": share.n_groups,
        "method": share.method,
    }
    if key is None:
        return record
    a: Sequence[float] = [own[one] for one in objects]
    b: Sequence[float] = [theirs[one] for one in objects]
    difference = paired_difference(a, b, images)
    return {
        **record,
        "control_group": key[0],
        "control_weights": key[1],
        "control_cover": key[2],
        **interval_columns("control_share", cluster_share(b, groups=images)),
        **tested_columns("difference", difference),
    }
