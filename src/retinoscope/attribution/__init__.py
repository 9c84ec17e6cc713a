"""Which visual tokens a logit owes itself to, estimated, and how far the estimate can be trusted.

    from retinoscope.attribution import attribution_patching

    found = attribution_patching(run, "yes", fill.mean(vlm, samples), versus="no")
    found.estimates            # (n,) logits, one per visual token
    found.rank_correlation     # against exact ablations of some of them
    found.plot().savefig("tokens.svg")

An estimate never stands alone: it carries the rank correlation with what the engine computes
exactly. Integrated gradients, by which token sets are chosen, are in `retinoscope.tokens`.
"""

from ._patching import AttributionPatching, attribution_patching
from ._rank import RankCorrelation, rank_correlation

__all__ = [
    "AttributionPatching",
    "RankCorrelation",
    "attribution_patching",
    "rank_correlation",
]
