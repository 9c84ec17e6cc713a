"""Table 2 of Neo et al. 2024: relative accuracy.

The paper's source towards the last row is "visual"; "rest" excludes the object's tokens.
"""

from __future__ import annotations

from .._paper import PaperNumber
from ..token_sets import RING_1, NamedSet

_WINDOWS = ("early", "early-mid", "mid", "mid-late", "late", "all")
_KEPT = {
    (RING_1, "last"): {"mid-late": 0.82, "all": 0.67},
    (NamedSet("rest"), "last-row"): dict.fromkeys(_WINDOWS, 1.0),
    (NamedSet("visual"), "last-row"): dict.fromkeys(_WINDOWS, 1.0),
}
NUMBERS = tuple(
    PaperNumber(
        {**source.defined, "target": target, "window": window},
        share,
        "Table 2, quoted by a replication",
        "R",
    )
    for (source, target), shares in _KEPT.items()
    for window, share in shares.items()
)
