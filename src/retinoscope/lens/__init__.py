"""Lenses: hidden states read as words, layer by layer, in bounded memory.

run.lens(kind="logit")          # or "embedding"
"""

from ._head import Head, Unit
from ._kinds import FITTED, NAMED, Embedding, Kind, Logit, OfStates, kind_of
from ._lens import Kernel, Lens, Word, lens_of, logit_lens

__all__ = [
    "FITTED",
    "NAMED",
    "Embedding",
    "Head",
    "Kernel",
    "Kind",
    "Lens",
    "Logit",
    "OfStates",
    "Unit",
    "Word",
    "kind_of",
    "lens_of",
    "logit_lens",
]
