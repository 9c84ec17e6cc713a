"""Visual tokens and token sets: from masks and boxes, by norm, at random, by gradient.

obj = run.image.covering(mask)      # tokens whose box overlaps the mask
obj.grow(1); ~obj; obj | other      # set algebra within one run
random(run, n=len(obj), seed=0, exclude=obj)
"""

from ..models import Layout
from ._choose import RunLike, random, registers, require_run, top, visual
from ._cover import Region, region_cover, region_mask
from ._gradient import (
    EmbeddingGradient,
    LogitGradient,
    check_gradients,
    frozen,
    likely_pieces,
    logits_of,
)
from ._integrated import (
    COMPLETE,
    Attribution,
    Baseline,
    GradientTokens,
    Path,
    along_path,
    attribution,
    by_gradient,
    incomplete,
    integrated_gradients,
    released_scores,
)
from ._numbers import Index, Position
from ._prefix import RunWithStates, backward_cost, close, expanded, fixed_prefix
from ._raster import spread, token_map
from ._set import Positions, TokenSet
from ._visual import VisualTokens

__all__ = [
    "COMPLETE",
    "Attribution",
    "Baseline",
    "EmbeddingGradient",
    "GradientTokens",
    "Index",
    "Layout",
    "LogitGradient",
    "Path",
    "Position",
    "Positions",
    "Region",
    "RunLike",
    "RunWithStates",
    "TokenSet",
    "VisualTokens",
    "along_path",
    "attribution",
    "backward_cost",
    "by_gradient",
    "check_gradients",
    "close",
    "expanded",
    "fixed_prefix",
    "frozen",
    "incomplete",
    "integrated_gradients",
    "likely_pieces",
    "logits_of",
    "random",
    "region_cover",
    "region_mask",
    "registers",
    "released_scores",
    "require_run",
    "spread",
    "token_map",
    "top",
    "visual",
]
