"""What counts as naming an object, and how far two kinds of lens agree, token by token."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Int

from ...data import Object
from .._study import Rows
from .groups import Groups
from .readers import TopWords
from .words import NamedVocabulary

Hits = Bool[np.ndarray, "layer token"]
_SHOWN_WORDS = 12
"""Number of most common words of a group's tokens that a row keeps."""
_AGREE = ("object", "background")
"""The groups in which the kinds of lens are compared token by token."""


@dataclass(frozen=True)
class Counting:
    """The words that count.

    Attributes:
        vocabulary: the vocabulary's entries, and what they name.
        known: the names of objects in the data.
        near: whether words near a name are counted, and words listed.
    """

    vocabulary: NamedVocabulary
    known: tuple[str, ...]
    near: bool

    def rows(self, obj: Object, words: Mapping[str, TopWords], groups: Groups) -> Rows:
        """Counts what each kind of lens reads on one object, and how far the kinds agree."""
        rows: Rows = []
        named: dict[str, Hits] = {}
        for kind, top in words.items():
            hits = self._hits(obj, top.ids)
            named[kind] = hits["strict"]
            rows += [
                {"lens": kind, "group": group, "cover": cover, "layer": layer}
                | {"n_tokens": len(tokens)}
                | {measure: int(hit[row, list(tokens)].sum()) for measure, hit in hits.items()}
                | ({"words": self._words(top.ids[row, list(tokens)])} if self.near else {})
                for (group, cover), tokens in groups.items()
                for row, layer in enumerate(top.layers)
            ]
        return rows + _agreements(words, named, groups)

    def _hits(self, obj: Object, top: Int[np.ndarray, "layer token"]) -> dict[str, Hits]:
        """Returns for each measure whether a token's nearest word counts."""
        name = self.vocabulary.name(obj.name)
        hits = {
            "strict": np.isin(top, name.strict),
            "lenient": np.isin(top, name.lenient),
            "colour": np.isin(top, self.vocabulary.word(obj.color)),
            "part": np.isin(top, self.vocabulary.any_of([part.name for part in obj.parts])),
            "any_kind": np.isin(top, self.vocabulary.any_of(self.known)),
        }
        if self.near:
            around = self.vocabulary.around(obj.name)
            hits |= {
                "piece": np.isin(top, around.piece),
                "synonym": np.isin(top, around.synonym),
                "near": np.isin(top, around.near),
            }
            known = self.known
            if len(known) > 1:
                # The next of the known names: always another one, the same for every layer.
                other = known[(known.index(obj.name) + 1) % len(known)]
                hits["near_other"] = np.isin(top, self.vocabulary.around(other).near)
        return hits

    def _words(self, ids: np.ndarray) -> str:
        """Returns the most common words of some tokens with their counts, as JSON."""
        counts = Counter(self.vocabulary.pieces[int(index)] for index in ids)
        return json.dumps(dict(counts.most_common(_SHOWN_WORDS)), ensure_ascii=False)


def _agreements(words: Mapping[str, TopWords], named: Mapping[str, Hits], groups: Groups) -> Rows:
    """Counts for each pair of kinds the tokens with the same word, and those both name rightly."""
    rows: Rows = []
    for one, other in combinations(words, 2):
        for layer in sorted({*words[one].layers} & {*words[other].layers}):
            same = words[one].at(layer) == words[other].at(layer)
            both = named[one][words[one].row(layer)] & named[other][words[other].row(layer)]
            rows += [
                {"lens": one, "other_lens": other, "group": group, "cover": cover, "layer": layer}
                | {"n_tokens": len(tokens)}
                | {"same": int(same[list(tokens)].sum()), "both": int(both[list(tokens)].sum())}
                for (group, cover), tokens in groups.items()
                if group in _AGREE
            ]
    return rows
