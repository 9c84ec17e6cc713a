"""Scenes described in words, in the places where visual tokens will stand.

A visual token tells several things at once about what it stands for. So does each place here: it
has the sum of the embeddings of one or more words about one object, such as "car" + "red" + "left"
+ "top".
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from ...data.scenes import COLORS, KINDS, SceneItem, SceneLayout
from ...pocket.vocabulary import token_id

FEWEST, MOST = 16, 82
"""Places of a description: as many as interfaces have visual tokens."""

_COLUMNS = ("left", "middle", "right")
_ROWS = ("top", "middle", "bottom")
_GROUND = "ground"
_NONE = -1
_KEPT = 0.7


class Descriptions:
    """Describes scenes as word ids, (place, 4), in random order; `_NONE` where there is no word.

    One place has all words about each object: its kind, its colour, its third of the width and of
    the height. A random share of the others has some of them again, the rest "ground".
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        words = (*KINDS, *COLORS, *_COLUMNS, *_ROWS, _GROUND)
        self._ids = {word: token_id(tokenizer, f"▁{word}") for word in words}

    def of(
        self, scene: SceneLayout, n_places: int, rng: np.random.Generator
    ) -> Int[np.ndarray, "place word"]:
        """Describes a scene in `n_places` places, at least as many as it has objects."""
        objects = np.array([[self._ids[word] for word in _words(item)] for item in scene.items])
        again = rng.integers(len(objects), size=n_places - len(objects))
        places = np.concatenate([objects, self._some(objects[again], rng)])
        return places[rng.permutation(n_places)]

    def _some(
        self, places: Int[np.ndarray, "place word"], rng: np.random.Generator
    ) -> Int[np.ndarray, "place word"]:
        """Leaves out random words, and makes a random share of the places ground."""
        kept = rng.random(places.shape) < _KEPT
        kept[~kept.any(1)] = True
        some = np.where(kept, places, _NONE)
        some[rng.random(len(places)) < rng.random()] = [self._ids[_GROUND], *[_NONE] * 3]
        return some


def summed(
    words: nn.Module, ids: Int[Tensor, "batch place word"]
) -> Float[Tensor, "batch place d_model"]:
    """The sum of each place's words, divided by the root of their number to keep its length."""
    there = (ids != _NONE)[..., None]
    embedded = words(ids.clamp(min=0)) * there
    return embedded.sum(2) / there.sum(2).sqrt()


def _words(item: SceneItem) -> tuple[str, ...]:
    column, row = item.thirds()
    return KINDS[item.kind], COLORS[item.color], _COLUMNS[column], _ROWS[row]
