"""The lens at its best layer, chosen on other images, at each cover and against each control."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl

from ...report.findings import PairedTest
from ...stats import cluster_share, half_of, paired_difference
from ...store import Scalar
from .._best import interval_columns, number, test_columns
from ..summary import Record
from .curves import CONTROLS, OWN, PARTS
from .options import KINDS
from .shares import ObjectShares, number_of_layers

MEASURE = "strict"
_Key = tuple[str, str, str, float | None]
"""Kind of lens, group, weights and cover."""
_CONTROL = ("control_lens", "control_group", "control_weights", "control_cover")
_ByObject = Mapping[tuple[str, int], float]


def peaks(rows: pl.DataFrame) -> Iterator[Record]:
    """Yields the share of an object's tokens that name it, a record per lens, cover and control.

    A peak is biased upwards on the images on which it was chosen. So an image counts at the layer
    that was best on the *other* half of the images; `layers` lists the layers. `share` and
    `control_share` are means over the same objects, `difference` is their difference, with the p
    value of a sign-flip test over images. Some records of a lens have something else in place of a
    control: its inner or border tokens (`control_group`), the tokens at another cover
    (`control_cover`), or another kind of lens (`control_lens`).
    """
    shares = _shares(rows)
    own = [key for key in shares if key[1:3] == OWN]
    own.sort(key=lambda key: (KINDS.index(key[0]), key[3] or 0))
    at_best = {key: _at_best(shares[key], shares[key]) for key in own}
    for key in own:
        lens, *_, cover = key
        measured = shares[key]
        others: dict[_Key, _ByObject] = {}
        beside = [(group, weights) for group, weights, _ in CONTROLS]
        for group, weights in (*beside, *((group, "trained") for group, _ in PARTS)):
            control = (lens, group, weights, None if group == "background" else cover)
            if control in shares:
                others[control] = _at_best(shares[control], measured)
        others |= {
            other: at_best[other]
            for other in own
            if (other[0] == lens and (other[3] or 0) < (cover or 0))
            or (other[3] == cover and KINDS.index(other[0]) < KINDS.index(lens))
        }
        # A control may have been measured only on other images.
        others = {
            other: found for other, found in others.items() if found.keys() & at_best[key].keys()
        }
        layers = sorted(set(_chosen_layers(measured).values()))
        for other, control in others.items() or [(None, {})]:
            yield {
                "lens": lens,
                "cover": cover,
                "layers": ", ".join(map(str, layers)),
                "last_layer": measured.shares.shape[1] - 1,
                **_compared(at_best[key], other, control),
            }


def peak_objects(rows: pl.DataFrame) -> Iterator[Record]:
    """Yields each object's share at the layer that other images chose, at each cover."""
    for (lens, *_, cover), shares in _shares(rows).items():
        for (sample, item), share in _at_best(shares, shares).items():
            yield {"lens": lens, "sample": sample, "item": item, "cover": cover, "share": share}


def lens_difference(
    records: Sequence[Mapping[str, Scalar]],
    others: Sequence[Mapping[str, Scalar]],
    cover: float | None,
    lens: str = "logit",
) -> PairedTest | None:
    """Tests the share in one model minus that in another, over the same objects of the same data.

    Args:
        records, others: records of two runs' "objects" tables.
        cover: the cover.
        lens: the kind of lens.

    Returns:
        The test; None if they have no object in common.
    """
    a, b = (
        {
            (str(row["sample"]), row["item"]): float(row["share"] or 0)
            for row in rows
            if row["cover"] == cover and row["lens"] == lens
        }
        for rows in (records, others)
    )
    both = [key for key in a if key in b]
    if not both:
        return None
    change = paired_difference([a[k] for k in both], [b[k] for k in both], [k[0] for k in both])
    return PairedTest(
        change.value, number(change.low), number(change.high), number(change.p), change.n_groups
    )


def _shares(rows: pl.DataFrame) -> dict[_Key, ObjectShares]:
    n_layers = number_of_layers(rows)
    parts = rows.partition_by(
        "lens", "group", "weights", "cover", maintain_order=True, as_dict=True
    )
    return {key: ObjectShares.of(some, MEASURE, n_layers) for key, some in parts.items()}  # type: ignore[misc]


def _chosen_layers(shares: ObjectShares) -> dict[int, int]:
    """Returns for each half of the images the layer that is best on the other one."""
    half = half_of(shares.images)
    side = np.array([half[image] for image in shares.images])
    chosen = {}
    for this in sorted(set(half.values())):
        other = shares.shares[side != this]
        # A single image has no other half.
        chosen[this] = int((other if len(other) else shares.shares).mean(0).argmax())
    return chosen


def _at_best(shares: ObjectShares, chosen_by: ObjectShares) -> dict[tuple[str, int], float]:
    """Returns each object's share at the layer that `chosen_by` has best on the other half."""
    half, layers = half_of(chosen_by.images), _chosen_layers(chosen_by)
    return {
        key: float(shares.shares[row, layers[half[key[0]]]])
        for row, key in enumerate(shares.objects)
        if key[0] in half
    }


def _compared(measured: _ByObject, key: _Key | None, control: _ByObject) -> Record:
    objects = [obj for obj in measured if obj in control] if control else list(measured)
    images = [image for image, _ in objects]
    values = [measured[obj] for obj in objects]
    share = cluster_share(values, groups=images)
    record: Record = {
        **interval_columns("share", share),
        "n_objects": len(objects),
        "n_images": share.n_groups,
        "method": share.method,
    }
    if key is None:
        return record
    controls = [control[obj] for obj in objects]
    return {
        **record,
        **dict(zip(_CONTROL, key, strict=True)),
        **interval_columns("control_share", cluster_share(controls, groups=images)),
        **test_columns("difference", paired_difference(values, controls, images)),
    }
