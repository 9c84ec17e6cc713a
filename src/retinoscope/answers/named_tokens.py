"""The tokens of a generated text that name an object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .words import first_span, words_of

if TYPE_CHECKING:
    from ..engine import VLM, Generation


def named_tokens(vlm: VLM, generation: Generation, name: str) -> tuple[int, int] | None:
    """Returns first and last token (exclusive) of the first word that names an object; None if no
    whole word does."""
    texts = vlm.adapter.vocabulary.texts(generation.token_ids.tolist())
    ends = np.cumsum([len(text) for text in texts])
    span = first_span("".join(texts), words_of(name))
    if span is None:
        return None
    first, last = (
        int(np.searchsorted(ends, place, side="right")) for place in (span[0], span[1] - 1)
    )
    return first, last + 1
