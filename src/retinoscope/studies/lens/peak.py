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
from .curves import CONTROLS, OWN
from .shares import ObjectShares, number_of_layers

MEASURE = "strict"
_Key = tuple[str, str, float | None]
_ByObject = Mapping[tuple[str, int], float]


def peaks(rows: pl.DataFrame) -> Iterator[Record]:
    """The share of an object's tokens that say its name, one record per cover and control.

    A peak that is found by looking is too high for the images that were looked at. So an image
    counts at the layer that was best on the *other* half of the images; `layers` says which they
    are. `share` and `control_share` are means over the same objects, `difference` is the one minus
    the other, with the p value of a sign-flip test over images. The last records compare one cover
    with another one (`control_cover`) in place of a control.
    """
    shares = _shares(rows)
    covers = sorted(cover for *key, cover in shares if (*key,) == OWN and cover is not None)
    at_best = {cover: _at_best(shares[*OWN, cover], shares[*OWN, cover]) for cover in covers}
    for cover in covers:
        own = shares[*OWN, cover]
        others: dict[_Key, _ByObject] = {}
        for group, weights, _ in CONTROLS:
            key = (group, weights, None if group == "background" else cover)
            if key in shares:
                others[key] = _at_best(shares[key], own)
        others |= {(*OWN, less): at_best[less] for less in covers if less < cover}
        layers = sorted(set(_chosen_layers(own).values()))
        for key, theirs in others.items() or [(None, {})]:
            yield {
                "cover": cover,
                "layers": ", ".join(map(str, layers)),
                "last_layer": own.shares.shape[1] - 1,
                **_compared(at_best[cover], key, theirs),
            }


def peak_objects(rows: pl.DataFrame) -> Iterator[Record]:
    """Each object's share at the layer that other images chose, at each cover."""
    for (*_, cover), own in _shares(rows).items():
        for (sample, item), share in _at_best(own, own).items():
            yield {"sample": sample, "item": item, "cover": cover, "share": share}


def lens_difference(
    ours: Sequence[Mapping[str, Scalar]],
    theirs: Sequence[Mapping[str, Scalar]],
    cover: float | None,
) -> PairedTest | None:
    """Share in one model minus that in another, over the same objects of the same data.

    Args:
        ours, theirs: records of two runs' "objects" tables.

    Returns: None where they have no object in common.
    """
    a, b = (
        {
            (str(row["sample"]), row["item"]): float(row["share"] or 0)
            for row in rows
            if row["cover"] == cover
        }
        for rows in (ours, theirs)
    )
    both = [key for key in a if key in b]
    if not both:
        return None
    found = paired_difference([a[k] for k in both], [b[k] for k in both], [k[0] for k in both])
    return PairedTest(
        found.value, number(found.low), number(found.high), number(found.p), found.n_groups
    )


def _shares(rows: pl.DataFrame) -> dict[_Key, ObjectShares]:
    n_layers = number_of_layers(rows)
    parts = rows.partition_by("group", "weights", "cover", maintain_order=True, as_dict=True)
    return {key: ObjectShares.of(some, MEASURE, n_layers) for key, some in parts.items()}  # type: ignore[misc]


def _chosen_layers(own: ObjectShares) -> dict[int, int]:
    """Half of the images -> the layer that is best on the other one."""
    half = half_of(own.images)
    side = np.array([half[image] for image in own.images])
    chosen = {}
    for mine in sorted(set(half.values())):
        other = own.shares[side != mine]
        # One image has no other half.
        chosen[mine] = int((other if len(other) else own.shares).mean(0).argmax())
    return chosen


def _at_best(shares: ObjectShares, own: ObjectShares) -> dict[tuple[str, int], float]:
    """Each object's share at the layer that is best for `own` on the other half of the images."""
    half, layers = half_of(own.images), _chosen_layers(own)
    return {
        key: float(shares.shares[row, layers[half[key[0]]]])
        for row, key in enumerate(shares.objects)
        if key[0] in half
    }


def _compared(own: _ByObject, key: _Key | None, theirs: _ByObject) -> Record:
    objects = [one for one in own if one in theirs] if theirs else list(own)
    images = [image for image, _ in objects]
    ours = [own[one] for one in objects]
    share = cluster_share(ours, groups=images)
    record: Record = {
        **interval_columns("share", share),
        "n_objects": len(objects),
        "n_images": share.n_groups,
        "method": share.method,
    }
    if key is None:
        return record
    control = [theirs[one] for one in objects]
    return {
        **record,
        **dict(zip(("control_group", "control_weights", "control_cover"), key, strict=True)),
        **interval_columns("control_share", cluster_share(control, groups=images)),
        **test_columns("difference", paired_difference(ours, control, images)),
    }
