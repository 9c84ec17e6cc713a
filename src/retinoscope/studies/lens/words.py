"""Whether a visual token's top-1 word is the object's name, or something near it.

Judged once per vocabulary entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ...answers.pieces import Answers
from ...answers.words import plural, words_of

MIN_PREFIX = 3
"""Minimum length of a word piece that counts as the beginning of a name, as "swe" of "sweater"."""


MORE_SYNONYMS: dict[str, tuple[str, ...]] = {
    "book": ("notebook", "volume", "novel"),
    "bottle": ("flask", "vial", "jar"),
    "chair": ("seat", "stool", "armchair"),
    "clock": ("watch", "timer", "alarm"),
    "cup": ("mug", "teacup", "beaker"),
    "fish": ("salmon", "trout", "goldfish"),
    "flower": ("blossom", "bloom", "rose", "tulip", "daisy"),
    "hat": ("cap", "fedora", "bowler"),
    "house": ("home", "cottage", "hut", "cabin"),
    "ladder": ("stepladder", "rungs"),
    "lamp": ("lantern", "lampshade", "light"),
    "leaf": ("foliage", "frond"),
    "moon": ("crescent", "lunar"),
    "mushroom": ("toadstool", "fungus", "fungi"),
    "ring": ("band", "hoop"),
    "star": ("pentagram", "asterisk"),
    "table": ("desk", "bench"),
    "tree": ("fir", "pine", "spruce", "conifer"),
    "umbrella": ("parasol",),
}
"""Other names of drawn kinds, only for the lens's measure of synonyms: a caption that says "light"
has not named a lamp."""


@dataclass(frozen=True)
class NearIds:
    """Vocabulary entries around one object's name, as sorted ids.

    `piece`: any piece of the name in any spelling; `synonym`: another word for it, whole; `near`:
    the nearest entries by the language model's own embeddings, including its name's pieces.
    """

    piece: np.ndarray
    synonym: np.ndarray
    near: np.ndarray


@dataclass(frozen=True)
class NameIds:
    """Vocabulary entries that name one object, as sorted ids.

    `strict`: first piece of the name itself. `lenient`: also a whole word for the object (synonyms,
    plurals), or a prefix of one with at least three letters. The paper does not state its rule; its
    Figure 3 credits word pieces.
    """

    strict: np.ndarray
    lenient: np.ndarray


class NamedVocabulary:
    """Vocabulary entries as lower-case text, and what they name."""

    def __init__(
        self,
        answers: Answers,
        size: int,
        embeddings: Float[np.ndarray, "vocab d_model"] | None = None,
        nearest: int = 0,
    ) -> None:
        """With `embeddings` of the vocabulary, `around` finds the `nearest` entries of a name."""
        self._answers = answers
        self._unit = None if embeddings is None else _directions(embeddings)
        self._nearest = nearest
        self._around: dict[str, NearIds] = {}
        self.pieces = [answers.piece(index) for index in range(size)]
        self._lower = [piece.lower() for piece in self.pieces]
        self._names: dict[str, NameIds] = {}

    def name(self, name: str) -> NameIds:
        """Returns entries for an object's name; empty arrays if the tokenizer has none."""
        if name not in self._names:
            self._names[name] = NameIds(self._first_pieces(name), self._lenient(name))
        return self._names[name]

    def around(self, name: str) -> NearIds:
        """Returns entries that are a part of an object's name, another word for it, or near it."""
        if name not in self._around:
            synonyms = {*words_of(name), *MORE_SYNONYMS.get(name.lower(), ())}
            synonyms -= {name.lower(), plural(name.lower())}
            whole = [i for i, text in enumerate(self._lower) if text in synonyms]
            pieces = np.array(sorted(self._answers.every_piece(name)), dtype=int)
            self._around[name] = NearIds(pieces, np.array(whole, dtype=int), self._near(name))
        return self._around[name]

    def _near(self, name: str) -> np.ndarray:
        if self._unit is None:
            return np.empty(0, int)
        whole = [i for i, text in enumerate(self._lower) if text == name.lower()]
        entries = whole or self.name(name).strict.tolist()
        if not entries:
            return np.empty(0, int)
        cosines = self._unit @ self._unit[entries].mean(0)
        return np.sort(np.argpartition(-cosines, self._nearest)[: self._nearest])

    def word(self, word: str | None) -> np.ndarray:
        """Returns first pieces of a plain word such as a colour; empty for None."""
        return np.empty(0, int) if word is None else self._first_pieces(word)

    def any_of(self, names: Sequence[str]) -> np.ndarray:
        """Returns entries that are, strictly, one of `names`."""
        entries = [self.name(name).strict for name in names]
        return np.unique(np.concatenate(entries)) if entries else np.empty(0, int)

    def _first_pieces(self, word: str) -> np.ndarray:
        from ...errors import InputError

        try:
            return np.array(sorted(self._answers.first_pieces(word.lower())))
        except InputError:
            return np.empty(0, int)

    def _lenient(self, name: str) -> np.ndarray:
        words = words_of(name)
        ids = set(self._first_pieces(name).tolist())
        for index, text in enumerate(self._lower):
            if text in words or (
                len(text) >= MIN_PREFIX and any(word.startswith(text) for word in words)
            ):
                ids.add(index)
        return np.array(sorted(ids), dtype=int)


def _directions(embeddings: Float[np.ndarray, "vocab d_model"]) -> np.ndarray:
    """Returns unit vectors without their common part: the mean and a hundredth of the directions.

    With it, frequent words are near to everything. Source: Mu & Viswanath 2018, "All-but-the-top",
    including the rule for the number of directions.
    """
    centred = embeddings - embeddings.mean(0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    top = directions[:, embeddings.shape[1] - embeddings.shape[1] // 100 :]
    centred = centred - (centred @ top) @ top.T
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6)
