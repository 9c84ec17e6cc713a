"""Arms that were trained alike, compared on the same held-out images."""

from ._claims import MARGIN, SEEDS, Claim, ClaimVerdict, verdicts
from ._results import ALL, ArmResult, Comparison, Measure, means, read_comparison

__all__ = [
    "ALL",
    "MARGIN",
    "SEEDS",
    "ArmResult",
    "Claim",
    "ClaimVerdict",
    "Comparison",
    "Measure",
    "means",
    "read_comparison",
    "verdicts",
]
