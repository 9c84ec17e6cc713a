"""Table 1 of Neo et al. 2024: the share of initially correct answers that became incorrect."""

from __future__ import annotations

from .._paper import PaperNumber
from ..token_sets import OBJECT, RING_1, NamedSet

_LOST = {
    OBJECT: {"generative": 0.3333, "polling": 0.1538, "question": 0.3333},
    RING_1: {"generative": 0.7179, "polling": 0.5128, "question": 0.8667},
    NamedSet("random", n_drawn=40): {"generative": 0.024, "polling": 0.0, "question": 0.0},
}
NUMBERS = tuple(
    PaperNumber({"task": task, **tokens.defined}, share, "Table 1, quoted by a replication", "R")
    for tokens, shares in _LOST.items()
    for task, share in shares.items()
)
TOKENS_OBJECT_1 = 33.4
"""Mean number of visual tokens (of 576) of an object with one ring around it."""
