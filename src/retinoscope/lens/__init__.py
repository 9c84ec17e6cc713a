"""Lenses: hidden states read as words, layer by layer, in bounded memory.

run.lens(kind="logit")          # or "embedding", "patchscope"
"""

from ._card import At, Card, decoder_fingerprint
from ._head import Head, Unit
from ._jacobian import IMAGE_SKIP, TEXT_SKIP, Jacobian, JacobianFit
from ._kinds import Embedding, Kind, Logit, OfStates
from ._lens import Kernel, Lens, Word, lens_of, logit_lens
from ._linear import LinearLens
from ._named import FITTED, NAMED, kind_of
from ._patchscope import Patchscope

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
    "Patchscope",
    "Unit",
    "Word",
    "decoder_fingerprint",
    "kind_of",
    "lens_of",
    "logit_lens",
]
