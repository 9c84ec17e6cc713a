"""A sanity check: does a map depend on the model's weights at all?"""

from __future__ import annotations

import math
from typing import Any

from ..errors import InputError
from ..stats.maps import MapScore
from ._heat_map import HeatMap


def weight_dependence(trained: HeatMap, randomised: HeatMap) -> MapScore:
    """Spearman's rank correlation of the same map of two models: the trained one and one with
    random weights. Near 0 is as it should be; a map that stays the same shows the image or the
    architecture, not what was learned.

    Returns:
        A score over the tokens; undefined where one of the maps is constant.

    Raises:
        InputError: maps of other sizes.

    Source: Adebayo et al. 2018 (arXiv 1810.03292), section 3; all weights at once.
    """
    from scipy.stats import spearmanr

    if trained.values.shape != randomised.values.shape:
        raise InputError(
            f"expected two maps of the same tokens, got {len(trained)} and {len(randomised)}"
        )
    n = len(trained)
    for name, one in (("trained", trained), ("randomised", randomised)):
        if n < 3 or one.values.min() == one.values.max():
            why = f"the {name} model's map is constant" if n >= 3 else "fewer than 3 tokens"
            return MapScore("weight_dependence", math.nan, n, {}, why)
    found: Any = spearmanr(trained.values, randomised.values)
    return MapScore("weight_dependence", float(found.statistic), n)
