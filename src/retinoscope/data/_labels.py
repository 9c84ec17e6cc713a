"""Label maps: the class of each pixel of a sample."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Int

from ..arguments import checked, listed, several
from ..errors import InputError
from ._sample import Sample

BACKGROUND = 0
"""Label of pixels without an object; class k of a list has label k + 1."""
IGNORE = 255
"""Label of pixels whose class is unknown, as in Pascal VOC."""


@checked
def class_names(samples: Sequence[Sample]) -> tuple[str, ...]:
    """The names that objects of these samples can have.

    If the source declares them (`classes`), in its order; otherwise (a list, a folder) the names
    that occur, sorted, which requires reading every sample.

    Raises:
        InputError: no sample has an object.
    """
    listed(samples, "samples")
    declared: Iterable[str] | None = getattr(samples, "classes", None)
    names = tuple(declared or sorted({obj.name for sample in samples for obj in sample.objects}))
    if not names:
        raise InputError("expected samples with objects, got none: give data with masks")
    return names


@checked
def label_map(sample: Sample, classes: Sequence[str]) -> Int[np.ndarray, "height width"]:
    """(H, W) int64: 0 where there is no object, 1 + the index in `classes` on one, else `IGNORE`.

    Where objects overlap, the smaller one is on top. `IGNORE` marks the pixels in `sample.ignore`
    that no object covers, and those of `sample.others`.

    Raises:
        InputError: no classes, duplicate ones, more than 254; an object of another class; a mask of
            another size than the image.
    """
    label_of = {name: 1 + k for k, name in enumerate(several(classes, "classes"))}
    if not classes or len(label_of) < len(classes) or len(classes) >= IGNORE:
        raise InputError(
            f"expected 1 to {IGNORE - 1} different classes, got {len(classes)}, of which "
            f"{len(label_of)} differ"
        )
    width, height = sample.image.size
    labels = np.zeros((height, width), dtype=np.int64)
    masks = [(obj.mask, label_of.get(obj.name, -1), obj.name) for obj in sample.objects]
    masks += [(obj.mask, IGNORE, obj.name) for obj in sample.others]
    unknown = [] if sample.ignore is None else [(sample.ignore, IGNORE, "ignored region")]
    for mask, label, name in (*masks, *unknown):
        if label < 0:
            listed = ", ".join(classes[:8]) + (", ..." if len(classes) > 8 else "")
            raise InputError(
                f"sample {sample.id}: expected objects of the classes {listed}, got the {name}: "
                "add it to the classes, or leave such objects out by a curation"
            )
        if mask.shape != labels.shape:
            raise InputError(
                f"sample {sample.id}: expected masks of the image's size {width}x{height} (width x "
                f"height), got {mask.shape[1]}x{mask.shape[0]} for the {name}: use the masks of "
                "this image"
            )
    for mask, label, _ in (*unknown, *sorted(masks, key=lambda entry: -int(entry[0].sum()))):
        labels[mask] = label
    return labels
