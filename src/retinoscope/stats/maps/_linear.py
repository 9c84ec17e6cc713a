"""Correlation with a density, and standard scores at fixations."""

from __future__ import annotations

import numpy as np

from ...arguments import checked
from ._check import Fixations, Map, ReferenceMap, constant, map_of, pair, pixels
from ._resample import Resize
from ._types import MapScore, undefined


@checked
def ncc(ours: Map, theirs: ReferenceMap, *, resize: Resize | None = None) -> MapScore:
    """Normalised cross-correlation: Pearson's correlation over pixels, also called CC.

    -1 to 1; 0 is no linear relation. Undefined where either map is constant. Symmetric.

    Args:
        ours, theirs: (H, W) maps of any scale and sign.
        resize: how the first map gets the second's size; refused if None and they differ.

    Raises:
        InputError: NaN, infinity, or two sizes.

    Source: VISTA (arXiv 2410.04609); Bylinskii et al. 2019 (TPAMI 41:740), section 3.2.3.
    """
    first, second, settings = pair(ours, theirs, resize)
    for name, values in (("the map", first), ("the reference map", second)):
        if constant(values):
            return undefined("ncc", f"{name} is constant", values.size, settings)
    a, b = first - first.mean(), second - second.mean()
    value = float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))
    return MapScore("ncc", value, a.size, settings)


@checked
def nss(ours: Map, fixations: Fixations, *, repeats: bool = True) -> MapScore:
    """Normalised scanpath saliency: the mean standard score of the map at fixations.

    0 is chance, 1 one standard deviation (over pixels, population) above the map's mean. Undefined
    for a constant map and without a fixation.

    Args:
        fixations: (n, 2) x and y in pixels, or a boolean map.
        repeats: a pixel that is fixated twice counts twice, as in Peters et al.; False counts each
            pixel once, as the MIT benchmark's code does, whose fixation map is binary.

    Raises:
        InputError: NaN, infinity, or a fixation outside the map.

    Source: Peters et al. 2005 (Vision Research 45:2397); Bylinskii et al. 2019, section 3.2.1.
    """
    values = map_of(ours, "the map")
    at = pixels(fixations, values.shape, repeats=repeats, name="fixations")
    settings = {"repeats": repeats}
    if not at.size:
        return undefined("nss", "no fixation", 0, settings)
    if constant(values):
        return undefined("nss", "the map is constant", at.size, settings)
    scores = (values.ravel()[at] - values.mean()) / values.std()
    return MapScore("nss", float(scores.mean()), at.size, settings)
