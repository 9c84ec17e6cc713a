"""What each system claims of its interface."""

from __future__ import annotations

from ..comparison import Claim
from ._table import MEASURES, OF_RETRIEVAL

JUDGED = {**MEASURES, **{f"retrieval-{name}": of for name, of in OF_RETRIEVAL.items()}}
"""Name -> what claims can be about."""

CLAIMS: dict[str, Claim] = {
    "lyrics": Claim(
        "with objects found beforehand, more kinds are known, above all of small objects, and "
        '"yes" is said to fewer absent ones',
        "lyrics",
        ("qformer", "lyrics-dense"),
        {
            "present": 1,
            "present-small": 1,
            "caption-recall": 1,
            "caption-recall-small": 1,
            "absent": -1,
            "absent-adversarial": -1,
        },
    ),
    "scl": Claim(
        "completion makes matching and answers better",
        "scl",
        ("scl-none", "scl-passes"),
        {
            "retrieval-caption": 1,
            "retrieval-image": 1,
            "color": 1,
            "kind": 1,
            "relation": 1,
            "caption-recall": 1,
        },
    ),
    "x-former": Claim(
        "reconstruction makes fine-grained answers better, and presence no worse",
        "x-former",
        ("x-former-masked", "x-former-plain", "qformer"),
        {"color": 1, "count": 1, "relation": 1},
        no_worse=("present",),
    ),
}
"""System -> claim, as far as answers and retrieval can tell."""
