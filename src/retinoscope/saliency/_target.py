"""The target of a map: `Target` names it, `resolve` finds the positions that predict it.

A decoder chooses a token at the position *before* it. A map of the word "cat" in a caption is
therefore read at the position before "cat"; the row of "cat" itself explains the next word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from .. import arguments
from ..engine import Condition, Run
from ..errors import InputError
from ..gaze import segment_of
from ..lens import Lens
from ..tokens import EmbeddingGradient, likely_pieces, logits_of, require_run
from ._trace import AttentionTrace, StateTrace, attention_trace, state_trace

TargetScore = Literal["log-probability", "logit"]
Kind = Literal["tokens", "word", "segment", "difference"]
Exact = Literal["incremental", "reference"]
SCORES: tuple[TargetScore, ...] = ("log-probability", "logit")

Span = tuple[int, int]
_NOTHING: Condition = ()


@dataclass(frozen=True)
class Target:
    """The target of a map. Made by `Target.token`, `.tokens`, `.word`, `.segment` or `.difference`.

    Attributes:
        kind: which of these.
        of: token ids; a word; a segment as text or as (start, stop) in characters; or the two
            words or token ids of a difference.
        score: "log-probability", summed over pieces; or "logit", likewise summed. If a model is
            certain, log-probabilities have hardly any slope (none at all where a probability rounds
            to 1), but logits do. A difference of two logits equals that of the log-probabilities.
        occurrence: which occurrence of a segment's text, from 0.
    """

    kind: Kind
    of: Any
    score: TargetScore = "log-probability"
    occurrence: int = 0

    def __post_init__(self) -> None:
        arguments.one_of(self.score, SCORES, "score")

    @classmethod
    def token(cls, index: int, score: TargetScore = "log-probability") -> Target:
        """The token `index` after the run's last position."""
        return cls("tokens", (arguments.whole(index, "a token id", 0),), score)

    @classmethod
    def tokens(cls, ids: Sequence[int], score: TargetScore = "log-probability") -> Target:
        """Consecutive tokens after the run's last position."""
        token_ids = arguments.wholes(ids, "token ids", 0)
        if not token_ids:
            raise InputError("expected at least one token to explain, got none")
        return cls("tokens", token_ids, score)

    @classmethod
    def word(cls, word: str, score: TargetScore = "log-probability") -> Target:
        """A word after the run's last position, all its pieces: each is read at the position before
        it, after the pieces before it. A leading space matters to most tokenizers: " cat" is the
        word inside a sentence."""
        return cls("word", arguments.text(word, "a word"), score)

    @classmethod
    def segment(
        cls, of: str | Span, score: TargetScore = "log-probability", occurrence: int = 0
    ) -> Target:
        """A part of the text at the run's "generated" positions, written by the model
        (`generation.run()`) or given to it to read (`vlm.run(prompt, continuation=ids)`).

        Args:
            of: the part itself; or its first character and the one after its last, in the text
                without special tokens and without blanks at its ends. Every token with a non-blank
                character of it belongs to it.
            score: see `Target`.
            occurrence: which one, if the text contains the part several times; as in
                `retinoscope.gaze.segment_of`, "car" is not found in "scarf" if it also occurs as a
                word.
        """
        return cls("segment", of, score, occurrence)

    @classmethod
    def difference(cls, target: str | int, versus: str | int) -> Target:
        """The logit of one token minus that of another, after the run's last position."""
        return cls("difference", (target, versus), "logit")


@dataclass(frozen=True, eq=False)
class Goal:
    """A target of one run, resolved. Made by `resolve`; every method accepts it as its target.

    Methods that are given the same goal share its passes with gradients.

    Attributes:
        origin: the run for which it was resolved.
        run: the run that the target needs: the origin with pieces of the target after it, or
            without what follows the target.
        ids: (k,) the target's tokens; token i is read at position n - k + i of `run`.
        versus: the token whose logit is subtracted, or None.
        score: as in `Target`.
        text: the target in words.
        exact: path of the engine that computes effects, as in `run.counterfactuals`.
    """

    origin: Run
    run: Run
    ids: tuple[int, ...]
    versus: int | None
    score: TargetScore
    text: str
    exact: Exact = "incremental"

    @property
    def positions(self) -> tuple[int, ...]:
        """(k,) the positions that predict the target's tokens."""
        return tuple(range(self.run.n - len(self.ids), self.run.n))

    @cached_property
    def value(self) -> float:
        """The score in the clean run."""
        return float(self.under(lambda run: [_NOTHING])[0])

    def read(self, normed: Float[Tensor, "batch k d_model"]) -> Float[Tensor, " batch"]:
        """The score as a differentiable function of the final-norm states at `positions`."""
        adapter = self.run.adapter
        if self.score == "logit":
            ids = [*self.ids] if self.versus is None else [*self.ids, self.versus]
            logits = logits_of(adapter, normed, ids)
            total = logits[..., : len(self.ids)].diagonal(dim1=-2, dim2=-1).sum(-1)
            return total if self.versus is None else total - logits[:, 0, -1]
        index = torch.tensor(self.ids, device=normed.device).expand(len(normed), -1)
        return adapter.unembed(normed).log_softmax(-1).gather(-1, index[..., None])[..., 0].sum(-1)

    def under(
        self, conditions: Callable[[Run], Sequence[Condition]]
    ) -> Float[Tensor, " condition"]:
        """Computes the score under interventions, as one batch for each token of the target.

        Args:
            conditions: makes the conditions for a run; called for each token of the target with a
                run that starts as `run` does and whose last position predicts that token.

        Raises as `run.counterfactuals` does.
        """
        parts = [
            self._scored(run.counterfactuals(conditions(run), exact=self.exact).logits, index)
            for run, index in zip(self._runs, self.ids, strict=True)
        ]
        return torch.stack(parts).sum(0).double().cpu()

    @cached_property
    def gradient(self) -> EmbeddingGradient:
        """Gradient of the score at the visual embeddings; raises as `EmbeddingGradient` does."""
        return EmbeddingGradient(self.run, self.positions, self.read)

    @cached_property
    def states(self) -> StateTrace:
        """The residual stream of every layer, and the score's gradients at it."""
        return state_trace(self.run, self.positions, self.read)

    @cached_property
    def weights(self) -> AttentionTrace:
        """The attention weights of every block, and the score's gradients at them."""
        return attention_trace(self.run, self.positions, self.read)

    @cached_property
    def lens(self) -> Lens:
        """The logit lens at the visual tokens of all images."""
        places = [place for image in self.run.images for place in image.positions]
        return self.run.lens(top_k=1, positions=places)

    @cached_property
    def attention(self) -> tuple[Float[Tensor, "query key"], ...]:
        """For each block the mean of its heads over all positions, float32 on the CPU.

        Raises:
            CapabilityError: the family's attention cannot be read.
        """
        every = range(self.run.n)
        blocks = range(self.run.vlm.n_layers)
        return tuple(self.run.attention(b, every).float().mean(0).cpu() for b in blocks)

    @cached_property
    def _runs(self) -> tuple[Run, ...]:
        """For each token of the target, a run that ends where it is predicted."""
        ids, count = _generated(self.run), len(self.ids)
        first = len(ids) - count + 1
        before = [ids[: first + number] for number in range(count - 1)]
        return (*(_again(self.run, some) for some in before), self.run)

    def _scored(self, logits: Float[Tensor, "n vocab"], index: int) -> Float[Tensor, " n"]:
        if self.score == "logit":
            chosen = logits[:, index]
            return chosen if self.versus is None else chosen - logits[:, self.versus]
        return logits.log_softmax(-1)[:, index]


AnyTarget = str | int | Target | Goal


def resolve(run: Run, target: AnyTarget, exact: Exact = "incremental") -> Goal:
    """Finds the tokens of a target and the positions that predict them.

    Args:
        run: the run.
        target: a `Target`; a word as `Target.word` takes it; a token id; or a goal of this run,
            which is returned unchanged.
        exact: path of the engine that computes effects, as in `run.counterfactuals`.

    Raises:
        InputError: an unknown word or token, a goal of another run, words of a difference that are
            equal or not one token each, or a segment that the text does not contain.
    """
    require_run(run)
    arguments.one_of(exact, ("incremental", "reference"), "exact")
    if isinstance(target, Goal):
        if run is not target.origin and run is not target.run:
            raise InputError("expected a target of this run, got one resolved for another run")
        return target
    if isinstance(target, str):
        target = Target.word(target)
    elif not isinstance(target, Target):
        index = arguments.whole(target, "a Target, a word or a token id", 0)
        target = Target("tokens", (index,))
    if target.kind == "segment":
        return _segment(run, target, exact)
    if target.kind == "difference":
        index, versus = (_single(run, word) for word in target.of)
        if index == versus:
            raise InputError(f"expected two different tokens, got {index} twice")
        text = f"{_quoted(run, [index])} minus {_quoted(run, [versus])}"
        return Goal(run, run, (index,), versus, target.score, text, exact)
    if target.kind == "tokens":
        ids = tuple(_known(run, index) for index in target.of)
    else:
        ids = likely_pieces(run, target.of)
    whole = run if len(ids) == 1 else _again(run, [*_generated(run), *ids[:-1]])
    return Goal(run, whole, ids, None, target.score, _quoted(run, ids), exact)


def _segment(run: Run, target: Target, exact: Exact) -> Goal:
    ids = _generated(run)
    if not ids:
        raise InputError(
            "expected a run over a text that the model wrote, got one of a prompt only: use "
            "generation.run(), or vlm.run(prompt, continuation=ids)"
        )
    first, last = _tokens_of(run, ids, target)
    return Goal(
        run,
        _again(run, ids[: last - 1]),
        tuple(ids[first:last]),
        None,
        target.score,
        _quoted(run, ids[first:last]),
        exact,
    )


def _tokens_of(run: Run, ids: Sequence[int], target: Target) -> Span:
    """Returns first and last token (exclusive) of a segment."""
    special = set(run.adapter.tokenizer.all_special_ids)
    texts = run.adapter.vocabulary.texts(ids)
    texts = ["" if index in special else text for index, text in zip(ids, texts, strict=True)]
    whole = "".join(texts)
    text = whole.strip()
    lead = len(whole) - len(whole.lstrip())
    start, stop = (lead + place for place in _characters(text, target))
    chosen, at = [], 0
    for number, piece in enumerate(texts):
        if piece[max(0, start - at) : max(0, stop - at)].strip():
            chosen.append(number)
        at += len(piece)
    if not chosen:
        raise InputError(f"expected a segment with a letter in it, got {target.of!r} of {text!r}")
    return chosen[0], chosen[-1] + 1


def _characters(text: str, target: Target) -> Span:
    if not isinstance(target.of, str):
        span = arguments.wholes(target.of, "the first character of a segment and its end", 0)
        start, stop = span if len(span) == 2 else (0, 0)
        if not 0 <= start < stop <= len(text):
            raise InputError(
                f"expected a segment within the {len(text)} characters of {text!r}, got "
                f"{target.of!r}"
            )
        return start, stop
    segment = segment_of(text, target.of, occurrence=target.occurrence)
    return segment.start, segment.end


def _generated(run: Run) -> list[int]:
    return run.inputs.input_ids[run.n - run.inputs.n_generated :].tolist()


def _again(run: Run, continuation: Sequence[int]) -> Run:
    return run.vlm.run(run.prompt, continuation=continuation)


def _single(run: Run, word: str | int) -> int:
    if not isinstance(word, str):
        return _known(run, word)
    ids = likely_pieces(run, word)
    if len(ids) != 1:
        raise InputError(
            f"expected words of one token each for a difference of logits, got {word!r}, which is "
            f"{len(ids)}: give token ids, or explain the word itself"
        )
    return ids[0]


def _known(run: Run, index: int) -> int:
    return arguments.whole(index, "a word or a token id", 0, run.adapter.vocab_size - 1)


def _quoted(run: Run, ids: Sequence[int]) -> str:
    return repr("".join(run.adapter.vocabulary.texts(ids)).strip())
