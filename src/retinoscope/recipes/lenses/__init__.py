"""Lenses that are fitted to a model: Jacobian, tuned, and indices of contexts.

lens = fit("jacobian", vlm, samples, out="lens.safetensors")
run.lens(kind=lens)
"""

from ._contexts import CAP, build_contexts, captions, published_layers
from ._corpus import corpus
from ._described import described
from ._fit import KINDS, FittedKind, Settings, fit, merge
from ._merge import merge_contexts
from ._prompts import NEW_TOKENS, QUESTION

__all__ = [
    "CAP",
    "KINDS",
    "NEW_TOKENS",
    "QUESTION",
    "FittedKind",
    "Settings",
    "build_contexts",
    "captions",
    "corpus",
    "described",
    "fit",
    "merge",
    "merge_contexts",
    "published_layers",
]
