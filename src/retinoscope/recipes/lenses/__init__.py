"""Lenses fitted to a model: so far indices of contexts, for the contextual lens.

index = build_contexts(vlm, captions(samples), "contexts", question="Describe this image.")
run.lens(kind=index)
"""

from ._contexts import CAP, build_contexts, captions, published_layers
from ._corpus import corpus
from ._merge import merge_contexts

__all__ = ["CAP", "build_contexts", "captions", "corpus", "merge_contexts", "published_layers"]
