"""The groups of visual tokens whose words are counted, as indices among the image's tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...data import Sample
from ...errors import InputError
from .._sets import ImageTokens, Indices, object_sets

Groups = Mapping[tuple[str, float | None], Indices]
"""Tokens by group and cover; those of no object have no cover."""


def groups_of(
    image: ImageTokens,
    sample: Sample,
    item: int,
    covers: Sequence[float],
    other: np.ndarray | None,
) -> Groups:
    """Returns the groups of one object that have tokens.

    "object": at each cover, the object's tokens. "inner" and "border": those at the smallest cover
    all of whose neighbours are the object's as well, and the others. "background": tokens that no
    object overlaps. "shuffled": at each cover, tokens under another image's mask that the object
    does not overlap.

    Args:
        image: the image's tokens.
        sample: the sample.
        item: the object's place among `sample.objects`.
        covers: shares of a token's box that a mask must cover.
        other: a mask of another image.

    Raises:
        InputError: the object has no token at any cover.
    """
    groups: dict[tuple[str, float | None], Indices] = {}
    mask = sample.objects[item].mask
    missed: InputError | None = None
    for cover in covers:
        try:
            groups["object", cover] = object_sets(image, [mask], cover)["object"]
        except InputError as error:
            missed = error
    if not groups and missed is not None:
        raise missed
    least = min(cover for _, cover in groups if cover is not None)
    own = image.covering(mask, least)
    border = own & (image.run.image.tokens - own).grow(1)
    groups["border", least] = image.indices(border)
    groups["inner", least] = image.indices(own - border)
    present = (*sample.objects, *sample.others)
    everything = [obj.mask for obj in present if obj.mask.any()]
    # By any overlap, whatever the covers: a token at an object's edge is not background.
    taken = set(object_sets(image, everything)["object"])
    groups["background", None] = tuple(i for i in range(image.n) if i not in taken)
    if other is not None:
        touched = image.covering(mask)
        for cover in covers:
            groups["shuffled", cover] = image.indices(image.covering(other, cover) - touched)
    return {group: tokens for group, tokens in groups.items() if tokens}
