"""Correlation with a density, and standardised values at fixations."""

from __future__ import annotations

import numpy as np

from ...arguments import checked
from ._check import Fixations, Map, ReferenceMap, constant, map_of, pair, pixels
from ._resample import Resize
from ._types import MapScore, undefined


@checked
def ncc(predicted: Map, reference: ReferenceMap, *, resize: Resize | None = None) -> MapScore:
    """Normalised cross-correlation: Pearson's correlation over pixels, also called CC.

    -1 to 1, with 0 for no linear relation. Symmetric. Undefined where either map is constant.

    Args:
        predicted, reference: (H, W) maps of any scale and sign.
        resize: how to bring the first map to the second's size; None refuses sizes that differ.

    Raises:
        InputError: NaN, infinity, or sizes that differ.

    Source: VISTA (arXiv 2410.04609); Bylinskii et al. 2019 (TPAMI 41:740), section 3.2.3.
    """
    first, second, settings = pair(predicted, reference, resize)
    for name, values in (("the map", first), ("the reference map", second)):
        if constant(values):
            return undefined("ncc", f"{name} is constant", values.size, settings)
    a, b = first - first.mean(), second - second.mean()
    value = float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))
    return MapScore("ncc", value, a.size, settings)


@checked
def nss(predicted: Map, fixations: Fixations, *, repeats: bool = True) -> MapScore:
    """Normalised scanpath saliency: the mean standardised value of the map at fixations.

    0 is chance; 1 is one standard deviation (over pixels, population) above the map's mean.
    Undefined for a constant map and without fixations.

    Args:
        fixations: (n, 2) x and y in pixels, or a boolean map.
        repeats: count a pixel fixated twice as two, as in Peters et al.; False counts each pixel
            once, as in the MIT benchmark's code, whose fixation map is binary.

    Raises:
        InputError: NaN, infinity, or a fixation outside the map.

    Source: Peters et al. 2005 (Vision Research 45:2397); Bylinskii et al. 2019, section 3.2.1.
    """
    values = map_of(predicted, "the map")
    fixated = pixels(fixations, values.shape, repeats=repeats, name="fixations")
    settings = {"repeats": repeats}
    if not fixated.size:
        return undefined("nss", "no fixation", 0, settings)
    if constant(values):
        return undefined("nss", "the map is constant", fixated.size, settings)
    scores = (values.ravel()[fixated] - values.mean()) / values.std()
    return MapScore("nss", float(scores.mean()), fixated.size, settings)
