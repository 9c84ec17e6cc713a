"""Which positions of a corpus become entries of an index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import xxhash

from ...models import Adapter

FIRST = 2
"""The first position that can be an entry: as published, neither the beginning of the sequence nor
the position after it."""


class Admission:
    """Goes through texts in their order, and admits one entry per distinct prefix, up to a cap.

    In a causal decoder, the state at a position depends on the tokens up to it alone.
    """

    def __init__(self, adapter: Adapter, cap: int) -> None:
        """
        Args:
            adapter: of the model, whose special tokens are no words.
            cap: most entries of one token string.
        """
        self._vocabulary = adapter.vocabulary
        self._special = frozenset(getattr(adapter.tokenizer, "all_special_ids", ()))
        self._cap = cap
        self._prefixes: set[int] = set()
        self._counts: Counter[str] = Counter()

    def of(self, token_ids: Sequence[int], start: int) -> list[int]:
        """The positions of the next text that are admitted.

        Args:
            token_ids: what the model reads.
            start: the first position of the text itself.
        """
        admitted: list[int] = []
        strings = self._vocabulary.texts(token_ids)
        digest = xxhash.xxh3_128()
        for position, token_id in enumerate(token_ids):
            digest.update(np.int64(token_id).tobytes())
            if position < max(start, FIRST) or token_id in self._special:
                continue
            prefix = digest.intdigest()
            if prefix in self._prefixes or self._counts[strings[position]] >= self._cap:
                continue
            self._prefixes.add(prefix)
            self._counts[strings[position]] += 1
            admitted.append(position)
        return admitted
