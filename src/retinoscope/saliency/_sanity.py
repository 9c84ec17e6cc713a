"""A sanity check: does a map depend on the model's weights at all?"""

from __future__ import annotations

import math
from typing import Any

from ..errors import InputError
from ..stats.maps import MapScore
from ._heat_map import HeatMap


def weight_dependence(trained: HeatMap, randomised: HeatMap) -> MapScore:
    """Spearman's rank correlation between a map of the trained model and one of random weights.

    It should be near 0: a map that stays the same shows the image or the architecture, not what was
    learned.

    Returns:
        A score over the tokens; undefined if one of the maps is constant.

    Raises:
        InputError: the maps have different sizes.

    Source: Adebayo et al. 2018 (arXiv 1810.03292), section 3; all weights at once.
    """
    from scipy.stats import spearmanr

    if trained.values.shape != randomised.values.shape:
        raise InputError(
            f"expected two maps of the same tokens, got {len(trained)} and {len(randomised)}"
        )
    n = len(trained)
    for name, heat_map in (("trained", trained), ("randomised", randomised)):
        if n < 3 or heat_map.values.min() == heat_map.values.max():
            why = f"the {name} model's map is constant" if n >= 3 else "fewer than 3 tokens"
            return MapScore("weight_dependence", math.nan, n, {}, why)
    correlation: Any = spearmanr(trained.values, randomised.values)
    return MapScore("weight_dependence", float(correlation.statistic), n)
