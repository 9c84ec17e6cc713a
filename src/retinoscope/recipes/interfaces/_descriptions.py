"""Scenes described in a given number of words, as a language model reads them before any image."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int
from transformers import PreTrainedTokenizerBase

from ...data.scenes import COLORS, KINDS, SceneItem, SceneLayout, directions
from ...pocket.vocabulary import token_id

FEWEST, MOST = 16, 82
"""Words of a description: as many as interfaces have visual tokens."""

_COLUMNS = ("left", "middle", "right")
_ROWS = ("top", "middle", "bottom")
_FILLER = "ground"


class Descriptions:
    """Writes descriptions as word ids.

    A description has, in random order, every object ("red car left top": its colour, its kind, its
    third of the width and of the height, or one of these two where there is no room for both), as
    many further true phrases as there is room for (where one object is from another, "red car left
    of blue cup", and objects again), and "ground" in the places that are left.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        words = (*KINDS, *COLORS, *_COLUMNS, *_ROWS, _FILLER, "of", "right", "above", "below")
        self._ids = {word: token_id(tokenizer, f"▁{word}") for word in words}

    def of(
        self, scene: SceneLayout, n_words: int, rng: np.random.Generator
    ) -> Int[np.ndarray, " word"]:
        """Describes a scene in exactly `n_words` words."""
        short = 4 * len(scene.items) > n_words
        objects = [_placed(item, short, rng) for item in scene.items]
        phrases, more = [*objects], [*_directed(scene), *objects]
        room = n_words - sum(map(len, phrases))
        for number in rng.permutation(len(more)):
            if len(more[number]) <= room:
                phrases.append(more[number])
                room -= len(more[number])
        phrases += [(_FILLER,)] * room
        ordered = (phrases[number] for number in rng.permutation(len(phrases)))
        return np.array([self._ids[word] for phrase in ordered for word in phrase])


def _named(item: SceneItem) -> tuple[str, str]:
    return COLORS[item.color], KINDS[item.kind]


def _placed(item: SceneItem, short: bool, rng: np.random.Generator) -> tuple[str, ...]:
    column, row = item.thirds()
    place = (_COLUMNS[column], _ROWS[row])
    return (*_named(item), *((place[rng.integers(2)],) if short else place))


def _directed(scene: SceneLayout) -> list[tuple[str, ...]]:
    statements = []
    for subject in scene.items:
        for other in scene.items:
            names = directions(subject, other) if subject is not other else ()
            if len(names) == 1:
                statements.append((*_named(subject), *names[0].split(), *_named(other)))
    return statements
