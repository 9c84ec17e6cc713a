"""Attention knockout: along which edges, in which layers, does the answer travel?

Neo et al. 2024, section 4.2, after Geva et al. 2023. Attention from a set of target positions
(queries) to a set of source positions (keys) is masked in a window of layers, in all heads, for
questions that the model answers correctly. The measure is *relative accuracy*: the share still
answered correctly, 1.00 meaning no impact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ...answers.pieces import Answers
from ...answers.scoring import ModelOutput, Score, Scorer
from ...answers.tasks import Ask, object_label, question_asks
from ...data import Sample
from ...engine import Knockout
from ...errors import InputError
from ...store import Json, Scalar
from .._examples import example_of
from .._needs import Need
from .._sets import ImageTokens, object_sets
from .._study import Example, Limits, Rows, Study, rng_of
from ..token_sets import NOTHING, OBJECT_SETS, NamedSet
from ..windows import PAPER_WINDOWS, Window, windows_for
from .edges import (
    count_edges,
    sources_for,
    targets_for,
    without_target,
)
from .options import SETS, SOURCES, TARGETS, USUAL_SOURCES, KnockoutOptions
from .summary import COLUMNS

if TYPE_CHECKING:
    from ...engine import VLM, Run
    from ...tokens import TokenSet


@dataclass(frozen=True)
class _KnockoutContext:
    scorer: Scorer
    windows: tuple[Window, ...]


@dataclass(frozen=True)
class _KnockoutCut:
    """One knockout."""

    source: NamedSet
    target: str
    window: Window
    keys: TokenSet
    queries: TokenSet

    @property
    def n_edges(self) -> int:
        """Number of masked (query, key) pairs, over the window's layers, in each head."""
        return count_edges(self.keys, self.queries) * len(self.window.layers)

    @property
    def columns(self) -> dict[str, Scalar]:
        """The knockout as columns of a row."""
        return {
            **self.source.columns,
            "target": self.target,
            **self.window.columns,
            "n_source": len(self.keys),
            "n_edges": self.n_edges,
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class AttentionKnockout(Study[_KnockoutContext]):
    """The paper's knockout experiment, with a control and a sliding window.

    All sources x targets x windows of one question are one batch. Pairs without an edge in a causal
    decoder (question to last row) and pairs of a set with itself are skipped; towards the last row
    a source means its tokens outside that row (in paper mode only "visual" does). Rows whose
    `token_set` is "none" are the clean answers, including wrong ones, which get no knockouts.

    Args:
        sources: of `SOURCES`; "visual" is all visual tokens.
        targets: of `TARGETS`.
        windows: of the paper's (early, early-mid, mid, mid-late, late, all), scaled to the depth.
        slide: width of an additional sliding window, in layers; None for none.
        slide_step: layers between two sliding windows.
        question_kinds: kinds of questions to ask.
        max_questions: maximum number of questions per sample (the first ones); every question costs
            sources x targets x windows counterfactuals.
        prefill: put before the answer to questions that ask for an object's name; the paper's is
            "It is a".
        mode: "corrected" or "paper" (the released code's): rule for correctness, and whether a
            source keeps its own tokens of the last row towards that row.
        min_cover: share of a token's box that a mask must cover; 0 for any overlap, as in the
            paper.
        unlocated: also ask questions that do not name the objects they are about; their sources
            are those without an object, and "visual".
    """

    sources: tuple[str, ...] = USUAL_SOURCES
    targets: tuple[str, ...] = TARGETS
    windows: tuple[str, ...] = tuple(PAPER_WINDOWS)
    slide: int | None = None
    slide_step: int = 1
    question_kinds: tuple[str, ...] = ("color", "kind", "relation", "question")
    max_questions: int | None = None
    prefill: str | None = None
    mode: str = "corrected"
    min_cover: float = 0.0
    unlocated: bool = False

    name: ClassVar[str] = "knockout"
    needs: ClassVar[str] = "questions of the chosen kinds that say which objects they are about"
    uses: ClassVar[tuple[Need, ...]] = (
        Need("located", "objects", "questions, with the tokens of their objects as sources"),
        Need(
            "questions",
            "questions",
            "questions are asked without their objects' tokens: the sources are all visual tokens, "
            "and those that were chosen of the last row and the question",
            instead=True,
        ),
    )
    limits: ClassVar[Limits] = {
        "slide": (1, None),
        "slide_step": (1, None),
        "max_questions": (1, None),
        "min_cover": (0, 1),
    }
    schema: ClassVar[int] = 3
    columns: ClassVar[tuple[str, ...]] = tuple(COLUMNS)

    def _check(self) -> None:
        for what, given, known in (
            ("source", self.sources, SOURCES),
            ("target", self.targets, TARGETS),
            ("mode", (self.mode,), ("paper", "corrected")),
            # A sliding window needs no named ones.
            ("window", self.windows or tuple(PAPER_WINDOWS), tuple(PAPER_WINDOWS)),
        ):
            for name in given:
                if name not in known:
                    raise InputError(f"unknown {what} {name!r}: expected one of {', '.join(known)}")
            if not given:
                raise InputError(f"no {what} was given: expected some of {', '.join(known)}")

    def _check_model(self) -> None:
        self._windows()

    def _windows(self) -> tuple[Window, ...]:
        return windows_for(self.vlm.n_layers, self.windows, self.slide, self.slide_step)

    def asks(self, sample: Sample) -> Mapping[str, int]:
        located, every = (
            len(question_asks(sample, self.question_kinds, unlocated=unlocated))
            for unlocated in (False, True)
        )
        return {"located": located, "questions": every}

    def _instead(self) -> Self:
        return replace(self, unlocated=True)

    def _parameters(self) -> dict[str, object]:
        options = super()._parameters()
        # Only if used, so that earlier runs keep their identity.
        if not self.unlocated:
            del options["unlocated"]
        return options

    def _prepare(self, readable: Sequence[Sample]) -> _KnockoutContext:
        return _KnockoutContext(Scorer(Answers(self.vlm.tokenizer)), self._windows())

    def _rows(
        self, context: _KnockoutContext, index: int, sample: Sample, keep: bool
    ) -> tuple[Rows, list[Example]]:
        asks = question_asks(
            sample, self.question_kinds, self.prefill, self.max_questions, self.unlocated
        )
        if not asks:
            return [], []
        prompts = [self.vlm.prompt(sample.image, ask.text, prefill=ask.prefill) for ask in asks]
        rows: Rows = []
        examples: list[Example] = []
        for item, (ask, run) in enumerate(
            zip(asks, self.vlm.run_many(sample.image, prompts), strict=True)
        ):
            base: dict[str, Scalar] = {
                "sample": sample.id,
                "item": item,
                "object": object_label(sample, ask),
                "question": ask.text,
                "answer": ask.answer,
                "kind": ask.kind,
            }
            try:
                new, example = self._question(context, sample, ask, run)
            except InputError as error:
                rows.append(base | {"error": str(error)})
                continue
            rows += [base | row for row in new]
            if keep and example is not None and not examples:
                examples.append(example)
        return rows, examples

    def _question(
        self, context: _KnockoutContext, sample: Sample, ask: Ask, run: Run
    ) -> tuple[Rows, Example | None]:
        before = context.scorer.score(ask, self.mode, ModelOutput(run.logits, after=run.ending))
        rows: Rows = [{**NamedSet(NOTHING).columns, **self._scores(before, before)}]
        if not before.correct:
            return rows, None
        image = ImageTokens(run)
        cuts = self._cuts(context, sample, image, ask)
        if not cuts:
            return rows, None
        effects = run.counterfactuals(
            [Knockout(source=c.keys, target=c.queries, layers=c.window.layers) for c in cuts],
            exact=self.exact,
        )
        after = [
            context.scorer.score(ask, self.mode, ModelOutput(logits, after=run.ending))
            for logits in effects.logits
        ]
        rows += [
            {**cut.columns, **self._scores(before, score)}
            for cut, score in zip(cuts, after, strict=True)
        ]
        return rows, self._example(sample, image, ask, before, cuts, after)

    def _scores(self, before: Score, after: Score) -> dict[str, Scalar]:
        return {
            "mode": self.mode,
            "baseline_correct": before.correct,
            "correct": after.correct,
            "probability_before": before.probability,
            "probability_after": after.probability,
            "answer_before": before.answer,
            "answer_after": after.answer,
        }

    def _cuts(
        self, context: _KnockoutContext, sample: Sample, image: ImageTokens, ask: Ask
    ) -> list[_KnockoutCut]:
        masks = [sample.objects[index].mask for index in ask.objects]
        rng = rng_of(self.seed, sample.id, ask.text, "control")
        sources = sources_for(image, masks, self.sources, self.min_cover, rng)
        targets = targets_for(image, self.targets)
        cuts = []
        for source in sources:
            for target, queries in targets.items():
                keys = without_target(source, target, sources, image, self.mode)
                if keys is None or not count_edges(keys, queries):
                    continue
                cuts += [
                    _KnockoutCut(SETS[source], target, w, keys, queries) for w in context.windows
                ]
        return cuts

    def _example(
        self,
        sample: Sample,
        image: ImageTokens,
        ask: Ask,
        before: Score,
        cuts: Sequence[_KnockoutCut],
        after: Sequence[Score],
    ) -> Example:
        masks = [sample.objects[index].mask for index in ask.objects]
        facts: dict[str, Json] = {
            "object": object_label(sample, ask),
            "question": ask.text,
            "prefill": ask.prefill,
            "answer": ask.answer,
            "before": before.answer,
            "probability": before.probability,
            "after": [
                {**cut.columns, "answer": score.answer, "probability": score.probability}
                for cut, score in zip(cuts, after, strict=True)
            ],
        }
        sets = object_sets(image, masks, self.min_cover) if masks else {}
        named = {OBJECT_SETS[name].label: tokens for name, tokens in sets.items()}
        return example_of(sample, image, named, facts)


def make(
    vlm: VLM, samples: Sequence[Sample], options: KnockoutOptions, *, seed: int, n_examples: int
) -> Study:
    """Makes the study from its options."""
    given: dict[str, Any] = options.shared_with(AttentionKnockout)
    return AttentionKnockout(vlm, samples, seed=seed, n_examples=n_examples, **given)
