"""Lenses: hidden states read as words, layer by layer, in bounded memory.

run.lens(kind="logit")          # or "embedding"
"""

from ._card import At, Card, decoder_fingerprint
from ._head import Head, Unit
from ._jacobian import IMAGE_SKIP, TEXT_SKIP, Jacobian, JacobianFit
from ._kinds import FITTED, NAMED, Embedding, Kind, Logit, OfStates, kind_of
from ._lens import Kernel, Lens, Word, lens_of, logit_lens
from ._linear import LinearLens

__all__ = [
    "FITTED",
    "IMAGE_SKIP",
    "NAMED",
    "TEXT_SKIP",
    "At",
    "Card",
    "Embedding",
    "Head",
    "Jacobian",
    "JacobianFit",
    "Kernel",
    "Kind",
    "Lens",
    "LinearLens",
    "Logit",
    "OfStates",
    "Unit",
    "Word",
    "decoder_fingerprint",
    "kind_of",
    "lens_of",
    "logit_lens",
]
