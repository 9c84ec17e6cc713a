"""When does a visual token's top-1 say the object's name? Judged once per vocabulary entry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ._answers import Answers
from ._words import words_of

MIN_PREFIX = 3
"""Shortest word piece that counts as the beginning of a name, as "swe" of "sweater"."""


@dataclass(frozen=True)
class NameIds:
    """Vocabulary entries that name one object, as sorted ids.

    `strict`: first piece of the name itself. `lenient`: also a whole word of the object (synonyms,
    plurals) or a prefix, of at least three letters, of one. The paper does not state its rule;
    its Figure 3 credits word pieces.
    """

    strict: np.ndarray
    lenient: np.ndarray


class Vocabulary:
    """Vocabulary entries as lower-case text, and which of them name what."""

    def __init__(self, answers: Answers, size: int) -> None:
        self._answers = answers
        self.pieces = [answers.piece(index) for index in range(size)]
        self._lower = [piece.lower() for piece in self.pieces]
        self._names: dict[str, NameIds] = {}

    def name(self, name: str) -> NameIds:
        """Entries for an object's name; empty arrays where the tokenizer has none."""
        if name not in self._names:
            self._names[name] = NameIds(self._first_pieces(name), self._lenient(name))
        return self._names[name]

    def word(self, word: str | None) -> np.ndarray:
        """First pieces of a plain word such as a colour; empty for None."""
        return np.empty(0, int) if word is None else self._first_pieces(word)

    def any_of(self, names: Sequence[str]) -> np.ndarray:
        """Entries that are, strictly, one of `names`."""
        found = [self.name(name).strict for name in names]
        return np.unique(np.concatenate(found)) if found else np.empty(0, int)

    def _first_pieces(self, word: str) -> np.ndarray:
        from ..errors import InputError

        try:
            return np.array(sorted(self._answers.first_pieces(word.lower())))
        except InputError:
            return np.empty(0, int)

    def _lenient(self, name: str) -> np.ndarray:
        words = words_of(name)
        found = set(self._first_pieces(name).tolist())
        for index, text in enumerate(self._lower):
            if text in words or (
                len(text) >= MIN_PREFIX and any(word.startswith(text) for word in words)
            ):
                found.add(index)
        return np.array(sorted(found), dtype=int)
