"""The paper's experiments on one scene of one interface, at tokens declared, changed and random.

Ablation and knockout ask about an object again: with its tokens replaced by the mean visual token,
and with attention from the last position to them, or to all visual tokens, blocked in a window of
layers. The lens reads the same tokens as words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...answers.scoring import ModelOutput, Score, Scorer
from ...answers.tasks import Ask
from ...data import Object
from ...engine import Ablate, Knockout
from ...store import Scalar
from .._executor import Rows
from .._sets import Indices
from ..lens.words import NamedVocabulary
from ..token_sets import NOTHING
from ..windows import Window
from .asked import CleanScene
from .options import EDITED, TokenSource

if TYPE_CHECKING:
    from torch import Tensor

    from ...engine import Run
    from ...engine.fill import Fill
    from ...lens import Lens

TokenSets = Mapping[TokenSource, Indices]


@dataclass(frozen=True, eq=False)
class Editing:
    """What the edits of one interface share.

    Attributes:
        fill: replaces ablated tokens.
        windows: in which attention is blocked.
        scorer: scores the answers.
        exact: how edits are computed.
    """

    fill: Fill
    windows: Sequence[Window]
    scorer: Scorer
    exact: Literal["incremental", "reference"]

    def rows(
        self,
        clean: CleanScene,
        asks: Sequence[Ask],
        sets: Mapping[int, TokenSets],
        most: int | None,
    ) -> Rows:
        """Edits the tokens of each object for one question about it.

        A question that was answered wrongly has only its clean row.

        Args:
            clean: the clean passes.
            asks: the questions.
            sets: by object, its tokens by each rule.
            most: maximum number of objects.
        """
        asked = [item for item in _one_each(asks).values() if asks[item].objects[0] in sets][:most]
        known = {item: score for item in asked if (score := clean.scores[item]) is not None}
        rows: Rows = []
        for item, before in known.items():
            base = _base(item, asks[item])
            rows.append(base | {"edit": NOTHING, **_scores(before, before)})
        right = [item for item, score in known.items() if score.correct]
        for item, ablated in self._ablated(clean, asks, sets, right).items():
            base = _base(item, asks[item])
            tokens = sets[asks[item].objects[0]]
            run, before = clean.runs[item], known[item]
            for source, logits in ablated.items():
                after = self._score(asks[item], run, logits)
                rows.append(
                    base
                    | {"edit": "ablation", "token_set": source, "n_tokens": len(tokens[source])}
                    | _scores(before, after)
                )
            rows += [
                base | cut | _scores(before, after)
                for cut, after in self._blocked(asks[item], run, tokens)
            ]
        return rows

    def _ablated(
        self,
        clean: CleanScene,
        asks: Sequence[Ask],
        sets: Mapping[int, TokenSets],
        items: Sequence[int],
    ) -> dict[int, dict[TokenSource, Tensor]]:
        """Returns the logits of each question under each ablation; equal ones share their work."""
        if not items:
            return {}
        edits = {
            clean.runs[item]: [
                Ablate(clean.runs[item].image.at(tokens), fill=self.fill)
                for tokens in sets[asks[item].objects[0]].values()
            ]
            for item in items
        }
        effects = clean.runs.only(items).counterfactuals(edits.__getitem__, exact=self.exact)
        return {
            item: dict(zip(sets[asks[item].objects[0]], effect.logits, strict=True))
            for item, effect in zip(items, effects, strict=True)
        }

    def _blocked(
        self, ask: Ask, run: Run, tokens: TokenSets
    ) -> list[tuple[dict[str, Scalar], Score]]:
        """Returns each knockout as columns of a row, and the answer under it."""
        sources = {name: run.image.at(indices) for name, indices in tokens.items()}
        sources["visual"] = run.image.tokens
        cuts = [(source, window) for source in sources for window in self.windows]
        effects = run.counterfactuals(
            [Knockout(sources[s], target="last", layers=w.layers) for s, w in cuts],
            exact=self.exact,
        )
        return [
            (
                {
                    "edit": "knockout",
                    "token_set": source,
                    "n_tokens": len(sources[source]),
                    **window.columns,
                },
                self._score(ask, run, logits),
            )
            for (source, window), logits in zip(cuts, effects.logits, strict=True)
        ]

    def _score(self, ask: Ask, run: Run, logits: Tensor) -> Score:
        return self.scorer.score(ask, "corrected", ModelOutput(logits, after=run.ending))


def _one_each(asks: Sequence[Ask]) -> dict[int, int]:
    """Returns for each object a question about it alone; their kinds take turns."""
    chosen: dict[int, int] = {}
    found = [(ask.objects[0], n) for n, ask in enumerate(asks) if len(ask.objects) == 1]
    for number, about in enumerate(sorted({about for about, _ in found})):
        by_kind = {asks[n].kind: n for other, n in reversed(found) if other == about}
        turn = number % len(EDITED)
        kinds = [kind for kind in (*EDITED[turn:], *EDITED[:turn]) if kind in by_kind]
        if kinds:
            chosen[about] = by_kind[kinds[0]]
    return chosen


def _base(item: int, ask: Ask) -> dict[str, Scalar]:
    return {"item": item, "question": ask.text, "answer": ask.answer}


def _scores(before: Score, after: Score) -> dict[str, Scalar]:
    return {
        "baseline_correct": before.correct,
        "correct": after.correct,
        "probability_before": before.probability,
        "probability_after": after.probability,
        "said": after.answer,
    }


def word_rows(
    lens: Lens, vocabulary: NamedVocabulary, obj: Object, item: int, sets: TokenSets
) -> Rows:
    """Returns how near an object's name and colour are to its tokens, layer by layer.

    For each set of tokens: the share of tokens whose nearest word it is, and the mean of one over
    its rank (1 for the nearest).

    Args:
        lens: at all visual tokens of the image.
        vocabulary: words and their ids.
        obj: the object.
        item: its index.
        sets: its tokens by each rule.
    """
    rows: list[dict[str, Any]] = []
    words = {"name": vocabulary.name(obj.name).strict, "colour": vocabulary.word(obj.color)}
    for word, ids in words.items():
        if not len(ids):
            continue
        rank = lens.rank(ids.tolist()).amin(0).cpu().numpy()
        for source, tokens in sets.items():
            of_tokens = rank[:, list(tokens)]
            rows.append(
                {
                    "item": item,
                    "object": obj.name,
                    "word": word,
                    "token_set": source,
                    "n_tokens": len(tokens),
                    "top1": _means(of_tokens == 0),
                    "reciprocal": _means(1 / (1 + of_tokens)),
                }
            )
    return rows


def _means(values: np.ndarray) -> list[float]:
    return [float(value) for value in values.mean(1)]
