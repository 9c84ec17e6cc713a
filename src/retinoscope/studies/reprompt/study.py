"""Image re-prompting: new questions from a context that keeps few of the image's tokens.

Kaduri et al. 2024 (arXiv 2411.17491), "compressed context". The model describes the image; of the
description's context only the text's keys and values are kept, and in each block those of the K
visual tokens that the description attended to most. New questions are answered from these alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...answers.matching import answers
from ...answers.pieces import Answers, probability
from ...answers.scoring import refuse_nan
from ...answers.tasks import DESCRIBE
from ...data import Question, Sample
from ...engine import Knockout, context_bytes
from ...errors import CapabilityError, InputError
from ...store import Scalar
from ...tokens import TokenSet
from .._needs import Need
from .._study import Example, Limits, Rows, Study, rng_of
from .options import RepromptOptions
from .summary import ATTENTION, COLUMNS, NAIVE, RANDOM, SELECTORS

if TYPE_CHECKING:
    from ...engine import VLM, Run

Kept = tuple[tuple[int, ...], ...]
"""For each block the indices of the visual tokens that are kept."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ImageReprompting(Study[Answers]):
    """Accuracy of new questions against the share of visual tokens that is kept.

    The prompt is "Describe this image.", then the new question as the next turn; the description
    itself is not kept. Dropped tokens are hidden from the new question and from the answer, block
    by block, which gives the same numbers as a cache without them (`engine.compact_context` builds
    that cache). Selectors: "attention" (most attention from the description's positions, mean of
    all heads), "random" (as many, drawn per block), "naive" (the question asked on its own, nothing
    dropped). `share` 0 keeps the text only, 1 is the whole context.

    Args:
        shares: shares of the visual tokens, from 0 to 1; each except 0 must be worth at least one
            token.
        question_kinds: kinds of questions to ask.
        max_questions: maximum number of questions per sample (the first ones).
        description_tokens, answer_tokens: maximum lengths of texts.
    """

    shares: tuple[float, ...] = (0.0, 0.05, 0.1, 0.25, 0.5, 1.0)
    question_kinds: tuple[str, ...] = ("polling", "color", "kind", "relation", "question")
    max_questions: int | None = 6
    description_tokens: int = 64
    answer_tokens: int = 6

    name: ClassVar[str] = "reprompt"
    needs: ClassVar[str] = "questions of the chosen kinds"
    uses: ClassVar[tuple[Need, ...]] = (Need("questions", "questions", "questions are asked"),)
    limits: ClassVar[Limits] = {
        "max_questions": (1, None),
        "description_tokens": (1, None),
        "answer_tokens": (1, None),
    }
    schema: ClassVar[int] = 2
    columns: ClassVar[tuple[str, ...]] = tuple(COLUMNS)

    def _check(self) -> None:
        wrong = [share for share in self.shares if not 0 <= share <= 1]
        if wrong or not self.shares:
            got = wrong[0] if wrong else "none"
            raise InputError(f"expected shares of the visual tokens from 0 to 1, got {got}")

    def _check_model(self) -> None:
        for capability in ("knockout", "attention"):
            self.vlm.capabilities.require(capability)

    def asks(self, sample: Sample) -> Mapping[str, int]:
        return {"questions": sum(q.kind in self.question_kinds for q in sample.questions)}

    def _prepare(self, readable: Sequence[Sample]) -> Answers:
        return Answers(self.vlm.tokenizer)

    def _rows(
        self, context: Answers, index: int, sample: Sample, keep: bool
    ) -> tuple[Rows, list[Example]]:
        asked = [q for q in sample.questions if q.kind in self.question_kinds]
        asked = asked[: self.max_questions]
        if not asked:
            return [], []
        first = self.vlm.run(self.vlm.prompt(sample.image, DESCRIBE))
        refuse_nan(first.logits)
        kept = self._kept(sample, first)
        rows: Rows = []
        for item, question in enumerate(asked):
            base: dict[str, Scalar] = {
                "sample": sample.id,
                "item": item,
                "question": question.question,
                "answer": question.answer,
                "kind": question.kind,
            }
            try:
                new = self._question(context, sample, first, kept, question)
            except InputError as error:
                rows.append(base | {"error": str(error)})
                continue
            rows += [base | row for row in new]
        return rows, []

    def _kept(self, sample: Sample, first: Run) -> dict[tuple[str, float], Kept]:
        """Returns the tokens kept by each selector at each share."""
        description = first.generate(self.description_tokens, keep_logits=False)
        scores = description_attention(first, description.token_ids.tolist())
        n = scores.shape[1]
        order = np.argsort(-scores, axis=1, kind="stable")
        rng = rng_of(self.seed, sample.id, "reprompt")
        shuffled = np.array([rng.permutation(n) for _ in order])
        kept: dict[tuple[str, float], Kept] = {}
        for share in self.shares:
            size = budget(share, n)
            kept[ATTENTION, share] = _first(order, size)
            # If nothing or everything is kept, there is nothing to draw.
            if 0 < size < n:
                kept[RANDOM, share] = _first(shuffled, size)
        return kept

    def _question(
        self,
        words: Answers,
        sample: Sample,
        first: Run,
        kept: dict[tuple[str, float], Kept],
        question: Question,
    ) -> Rows:
        naive = self.vlm.run(self.vlm.prompt(sample.image, question.question))
        run = next_turn(first, question.question)
        effects = run.counterfactuals(
            [without_dropped(run, first.n, tokens) for tokens in kept.values()], exact=self.exact
        )
        texts = effects.generate(self.answer_tokens).texts
        pieces = words.first_pieces(question.answer, run.ending)
        alone = naive.generate(self.answer_tokens, keep_logits=False).text
        n = len(first.image.positions)
        whole = context_bytes(first, [first.n] * self.vlm.n_layers)
        common: dict[str, Scalar] = {"n_visual": n, "whole_bytes": whole}
        rows: Rows = []
        for ((selector, share), by_block), text, logits in zip(
            kept.items(), texts, effects.logits, strict=True
        ):
            refuse_nan(logits)
            sizes = [len(tokens) for tokens in by_block]
            union = set().union(*by_block)
            rows.append(
                common
                | {
                    "selector": selector,
                    "share": share,
                    "n_kept": sizes[0],
                    "union": len(union) / n,
                    "n_context": first.n - n + sizes[0],
                    "n_positions": run.n,
                    "context_bytes": context_bytes(first, [first.n - n + size for size in sizes]),
                    "text": text,
                    "correct": answers(text, question.answer),
                    "probability": probability(logits, pieces),
                }
            )
        refuse_nan(naive.logits)
        rows.append(
            common
            | {
                "selector": NAIVE,
                "share": 1.0,
                "n_kept": n,
                "union": 1.0,
                "n_context": first.n,
                "n_positions": naive.n,
                "context_bytes": whole,
                "text": alone,
                "correct": answers(alone, question.answer),
                "probability": probability(naive.logits, pieces),
            }
        )
        assert {row["selector"] for row in rows} <= set(SELECTORS)
        return rows


def budget(share: float, n: int) -> int:
    """Returns how many of `n` visual tokens a share is, rounded down; 0 only for 0.

    Raises:
        InputError: the share is worth less than one token.
    """
    # In floating point, 0.29 * 100 is slightly below 29.
    size = int(share * n + 1e-9)
    if share and not size:
        raise InputError(
            f"expected a share worth at least one of {n} visual tokens, got {share:g}: give at "
            f"least {1 / n:.3g}, or 0 to keep none"
        )
    return size


def description_attention(first: Run, ids: Sequence[int]) -> np.ndarray:
    """Returns (layers, n) mean attention to each visual token, over heads and over the positions
    that chose the words."""
    run = first.vlm.run(first.prompt, continuation=ids)
    rows = range(first.n - 1, run.n - 1)
    visual = list(run.image.positions)
    return np.array(
        [
            run.attention(layer, rows)[:, :, visual].float().mean((0, 1)).cpu().numpy()
            for layer in range(run.vlm.n_layers)
        ]
    )


def next_turn(first: Run, question: str) -> Run:
    """Runs a prompt that continues `first` with another question.

    Raises:
        CapabilityError: the tokenizer joins the turns, so the prompt does not start as `first`.
    """
    vlm: VLM = first.vlm
    turn = vlm.adapter.format(question, 0, None).text
    begin = getattr(vlm.tokenizer, "bos_token", None)
    if begin and turn.startswith(begin):
        turn = turn[len(begin) :]
    joined = "" if first.prompt.formatted[-1:].isspace() or turn[:1].isspace() else " "
    text = first.prompt.formatted + joined + turn
    images = list(first.prompt.images)
    run = vlm.run(vlm.prompt(images, text, raw=True))
    if run.inputs.input_ids[: first.n].tolist() != first.inputs.input_ids.tolist():
        raise CapabilityError(
            f"{vlm.capabilities.architecture}: its tokenizer joins two turns of a conversation, so "
            "the first cannot be kept as it is"
        )
    return run


def without_dropped(run: Run, n_first: int, kept: Kept) -> list[Knockout]:
    """Hides the visual tokens that are not kept from everything after the first turn."""
    visual = run.image.positions
    new = TokenSet.of(run.sequence, range(n_first, run.n))
    knockouts: list[Knockout] = []
    for layer, tokens in enumerate(kept):
        here = set(tokens)
        dropped = [place for i, place in enumerate(visual) if i not in here]
        if dropped:
            hidden = TokenSet.of(run.sequence, dropped)
            knockouts += [Knockout(hidden, new, [layer]), Knockout(hidden, "generated", [layer])]
    return knockouts


def _first(order: np.ndarray, size: int) -> Kept:
    return tuple(tuple(sorted(int(i) for i in row[:size])) for row in order)


def make(
    vlm: VLM, samples: Sequence[Sample], options: RepromptOptions, *, seed: int, n_examples: int
) -> Study:
    """Makes the study from its options."""
    given: dict[str, Any] = options.shared_with(ImageReprompting)
    given["description_tokens"] = options.max_new_tokens
    return ImageReprompting(vlm, samples, seed=seed, n_examples=n_examples, **given)
