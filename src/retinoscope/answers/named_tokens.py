"""Which tokens of a text that the model wrote name an object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .words import first_span, words_of

if TYPE_CHECKING:
    from ..engine import VLM, Generation


def named_tokens(vlm: VLM, said: Generation, name: str) -> tuple[int, int] | None:
    """First and last token (exclusive) of the first word in a text that names an object; None where
    no whole word does."""
    texts = vlm.adapter.vocabulary.texts(said.token_ids.tolist())
    ends = np.cumsum([len(text) for text in texts])
    found = first_span("".join(texts), words_of(name))
    if found is None:
        return None
    first, last = (
        int(np.searchsorted(ends, place, side="right")) for place in (found[0], found[1] - 1)
    )
    return first, last + 1
