"""Lenses: hidden states read as words, layer by layer, in bounded memory.

run.lens(kind="logit")                    # or "embedding", "patchscope"
run.lens(kind=load("lens.safetensors"))   # fitted by `retinoscope fit-lens`
"""

from ._card import At, Card, decoder_fingerprint
from ._context_card import ContextCard
from ._context_files import ContextFolder, Entries
from ._contexts import Contexts
from ._contextual import Context, Contextual, ContextualLens
from ._files import load, read_card
from ._fitted import FittedLens
from ._head import Head, Unit
from ._jacobian import IMAGE_SKIP, TEXT_SKIP, Jacobian, JacobianFit
from ._kinds import Embedding, Kind, Logit, OfStates
from ._lens import Lens, Word
from ._lens_of import Kernel, lens_of, logit_lens
from ._linear import LinearLens
from ._named import FITTED, NAMED, FittedKind, fit_command, kind_of
from ._patchscope import Patchscope
from ._tuned import Tuned, TunedFit

__all__ = [
    "FITTED",
    "IMAGE_SKIP",
    "NAMED",
    "TEXT_SKIP",
    "At",
    "Card",
    "Context",
    "ContextCard",
    "ContextFolder",
    "Contexts",
    "Contextual",
    "ContextualLens",
    "Embedding",
    "Entries",
    "FittedKind",
    "FittedLens",
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
    "Tuned",
    "TunedFit",
    "Unit",
    "Word",
    "decoder_fingerprint",
    "fit_command",
    "kind_of",
    "lens_of",
    "load",
    "logit_lens",
    "read_card",
]
