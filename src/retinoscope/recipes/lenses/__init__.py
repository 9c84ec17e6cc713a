"""Lenses that are fitted to a model: Jacobian, tuned, and indices of contexts.

lens = fit("jacobian", vlm, samples, out="lens.safetensors")
run.lens(kind=lens)
"""

from ._contexts import build_contexts, captions, published_layers
from ._corpus import corpus
from ._described import described
from ._fit import fit
from ._merge import merge, merge_contexts
from ._settings import Settings

__all__ = [
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
