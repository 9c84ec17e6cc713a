"""Token ablation: what does the model no longer know without these visual tokens?

Neo et al. 2024, section 3. The embeddings of a set of visual tokens (after the projector, before
decoder layer 0) are replaced by one mean visual token, and the three tasks are asked again. The
measure is the *decrease*: the share of initially correct answers that become incorrect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ...answers.hallucination import HallucinationFilter
from ...answers.matching import MODES
from ...answers.pieces import Answers
from ...answers.scoring import ModelOutput, Scorer, modes_of, needs_text
from ...answers.tasks import (
    DEFAULT_PROMPTS,
    DESCRIBE,
    TASKS,
    Ask,
    PromptOptions,
    asks_of,
    object_label,
    polling_text,
    question_asks,
    recorded,
)
from ...data import Sample
from ...engine import Ablate, fill
from ...engine.fill import Mean
from ...errors import InputError
from ...store import Json, Scalar, fingerprint_array
from .._examples import example_of
from .._executor import Tell
from .._map_options import COMPLETENESS
from .._needs import Need
from .._readable import Readable
from .._sets import ImageTokens, Indices, Ranking
from .._study import Example, Limits, Rows, Study, rng_of
from ..token_sets import NOTHING, NamedSet
from .conditions import Condition, conditions_for
from .options import CONDITIONS, SIZES, AblationOptions
from .summary import COLUMNS

if TYPE_CHECKING:
    from PIL.Image import Image

    from ...engine import VLM, Run, Runs
    from ...engine.fill import Fill

FILLS = ("mean", "zero", "noise")
CLEAN = Condition(NamedSet(NOTHING), ())


@dataclass(frozen=True)
class _AblationContext:
    """State shared by all samples."""

    scorer: Scorer
    fill: Fill


@dataclass(frozen=True)
class _AblatedQuestion:
    """One prompt about one object: whether it was correct, by mode, and its ablations."""

    ask: Ask
    correct: dict[str, bool]
    kept: bool | None = None
    plan: tuple[Condition, ...] = ()
    error: str | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class TokenAblation(Study[_AblationContext]):
    """The paper's ablation experiment, with controls.

    For every prompt that the model answers correctly, the token sets of `conditions` are ablated,
    all of them in one batch. Rows whose `token_set` is "none" are the clean answers, including
    wrong ones and those about absent objects. A sample without registers has a row with `n_tokens`
    0 whose answer is the clean one, as in the released code. Rows of gradient sets have
    `completeness`, the relative error of the integrated gradients that chose them (none with the
    paper's target). Sizes that are not smaller than the number of visual tokens are skipped, and so
    is a control for which too few tokens are left.

    Args:
        tasks: of "generative", "polling", "question".
        prompts: which objects and questions, and their wording.
        modes: rules for correctness: "paper" (the released code's), "corrected" (whole words, the
            two logits of yes and no, the answer's first piece) and "whole-word" (questions only:
            the answer as a whole word of generated text).
        conditions: of "object", "object+1", "object+2" (grown by rings of neighbours),
            "registers", "random" and "gradient" (each with `sizes`), "control" (for every object
            set as many random tokens outside it).
        sizes: token counts of the random and the gradient sets (the paper's by default).
        fill: "mean" (over the visual tokens of `samples`; the paper: of 50,000 ImageNet images),
            "zero" or "noise".
        min_cover: share of a token's box that a mask must cover; 0 for any overlap, as in the
            paper.
        gradient_steps: steps of integrated gradients (the paper: 50).
        gradient_target: "answer" explains the answer's logit; "paper" chooses as the released code
            does: whatever the question, the gradient is that of "Is there a NAME in this image?",
            at the first id of the encoded "Yes", special tokens included (for LLaVA-1.5 the
            beginning-of-text token), summed as in `retinoscope.tokens.released_scores`; the
            position after the image may be among the tokens.
        mean: the mean visual token of other images, for fill "mean"; None for that of `samples`.
        hallucination_filter: keeps an object, for the first two tasks, only if its caption is right
            on the original and wrong once the object's pixels are replaced. The paper does this;
            here it is off by default, since it takes another run per object.
        caption_tokens: maximum length of a generated caption (the paper: 200).
        polling_tokens: maximum length of a polling answer under the paper's rules (the paper: 10).
        answer_tokens: maximum length of an answer to a question under the whole-word rule.
    """

    tasks: tuple[str, ...] = TASKS
    prompts: PromptOptions = DEFAULT_PROMPTS
    modes: tuple[str, ...] = MODES
    conditions: tuple[str, ...] = CONDITIONS
    sizes: tuple[int, ...] = SIZES
    fill: str = "mean"
    min_cover: float = 0.0
    gradient_steps: int = 16
    gradient_target: str = "answer"
    mean: Mean | None = None
    hallucination_filter: HallucinationFilter | None = None
    caption_tokens: int = 64
    polling_tokens: int = 10
    answer_tokens: int = 6

    name: ClassVar[str] = "ablation"
    needs: ClassVar[str] = (
        "objects whose name is unique in their image, within the bounds of PromptOptions, or "
        "questions of the chosen kinds"
    )
    uses: ClassVar[tuple[Need, ...]] = (
        Need("objects", "objects", "captions and yes/no questions about objects"),
        Need("located", "objects", "the data's questions, with the tokens of their objects"),
        Need(
            "questions",
            "questions",
            "the data's questions are asked without their objects' tokens: with the registers and "
            "the random and gradient sets",
            instead=True,
        ),
    )
    limits: ClassVar[Limits] = {
        "min_cover": (0, 1),
        "gradient_steps": (2, None),
        "caption_tokens": (1, None),
        "polling_tokens": (1, None),
        "answer_tokens": (1, None),
    }
    schema: ClassVar[int] = 4
    columns: ClassVar[tuple[str, ...]] = tuple(COLUMNS)

    def _check(self) -> None:
        _known("task", self.tasks, TASKS)
        _known("mode", self.modes, MODES)
        _known("condition", self.conditions, CONDITIONS)
        _known("fill", (self.fill,), FILLS)
        if any(size < 1 for size in self.sizes):
            raise InputError(f"sizes of token sets must be at least 1, got {self.sizes}")
        _known("gradient target", (self.gradient_target,), ("answer", "paper"))
        if self.mean is not None and self.fill != "mean":
            raise InputError(f"a mean token was given, but the fill is {self.fill!r}: give one")

    def asks(self, sample: Sample) -> Mapping[str, int]:
        asked = [ask for ask in asks_of(sample, self.tasks, self.prompts) if ask.objects]
        located = sum(ask.task == "question" for ask in asked)
        free = any(name in self.conditions for name in ("registers", "random", "gradient"))
        able = "question" in self.tasks and free
        every = question_asks(sample, self.prompts.question_kinds, unlocated=True) if able else ()
        counts = {"objects": len(asked) - located} if set(self.tasks) - {"question"} else {}
        more = {"located": located, "questions": len(every)} if "question" in self.tasks else {}
        return counts | more

    def _instead(self) -> Self:
        return replace(self, prompts=replace(self.prompts, unlocated=True))

    def _parameters(self) -> dict[str, object]:
        kept = self.hallucination_filter
        options = super()._parameters() | {
            "prompts": recorded(self.prompts),
            "hallucination_filter": None if kept is None else asdict(kept),
        }
        # Only if used, so that earlier runs keep their identity.
        mean, target = options.pop("mean"), options.pop("gradient_target")
        if isinstance(mean, Mean):
            vector = fingerprint_array(mean.vector.cpu().numpy())
            options["mean"] = {"fingerprint": vector, "images": mean.n_images}
        if target != "answer":
            options["gradient_target"] = target
        return options

    def measure(self, readable: Readable, tell: Tell) -> Fill:
        return self._fill(readable)

    def context(self, readable: Readable, measured: Fill) -> _AblationContext:
        return _AblationContext(Scorer(Answers(self.vlm.tokenizer)), measured)

    def _depends_on(self, index: int, prints: Sequence[str], data: str) -> object:
        # The mean fill is a mean over all samples.
        return data if self.fill == "mean" and self.mean is None else None

    def _fill(self, readable: Sequence[Sample]) -> Fill:
        if self.mean is not None:
            return self.mean
        if self.fill == "mean":
            return fill.mean(self.vlm, readable)
        if self.fill == "zero":
            return fill.zero()
        return fill.noise(seed=self.seed)

    def _rows(
        self, context: _AblationContext, index: int, sample: Sample, keep: bool
    ) -> tuple[Rows, list[Example]]:
        asks = asks_of(sample, self.tasks, self.prompts)
        groups = [
            list(group) for _, group in groupby(asks, key=lambda ask: (ask.text, ask.prefill))
        ]
        if not groups:
            return [], []
        prompts = [
            self.vlm.prompt(sample.image, same[0].text, prefill=same[0].prefill) for same in groups
        ]
        runs = self.vlm.run_many(sample.image, prompts)
        images = [ImageTokens(run) for run in runs]
        memo = _Memo({same[0].text: image for same, image in zip(groups, images, strict=True)})
        asked: list[list[_AblatedQuestion]] = []
        outcomes: list[dict[Indices, ModelOutput]] = []
        for image, same in zip(images, groups, strict=True):
            clean = self._clean(image.run, same[0].task, memo)
            outcomes.append({(): clean})
            asked.append([self._plan(context, sample, image, ask, clean, memo) for ask in same])
        self._ablate(context, runs, images, asked, outcomes)
        rows: Rows = []
        examples: dict[str, Example] = {}
        number = 0
        for image, same, of_prompt in zip(images, asked, outcomes, strict=True):
            for item, question in enumerate(same, number):
                new = self._rows_of(context, sample, question, of_prompt)
                rows += [row | {"item": item} for row in new]
            number += len(same)
            shown = next((question for question in same if question.plan), None)
            if keep and shown is not None and shown.ask.task not in examples:
                example = self._example(context, sample, image, shown, of_prompt)
                examples[shown.ask.task] = example
        return rows, list(examples.values())

    def _clean(self, run: Run, task: str, memo: _Memo) -> ModelOutput:
        longest = self._longest(task)
        text = run.generate(max_new_tokens=longest).text if longest else None
        if task == "generative" and text is not None:
            memo.caption[DESCRIBE] = text
        return ModelOutput(run.logits, text, run.ending)

    def _ablate(
        self,
        context: _AblationContext,
        runs: Runs,
        images: Sequence[ImageTokens],
        asked: Sequence[Sequence[_AblatedQuestion]],
        outcomes: Sequence[dict[Indices, ModelOutput]],
    ) -> None:
        """Runs all ablations of all prompts; equal token sets share their work on the image."""
        sets = {
            number: tuple(dict.fromkeys(c.tokens for q in same for c in q.plan if c.tokens))
            for number, same in enumerate(asked)
        }
        chosen = [number for number, tokens in sets.items() if tokens]
        if not chosen:
            return
        edits = {
            runs[number]: [
                Ablate(images[number].tokens(tokens), fill=context.fill) for tokens in sets[number]
            ]
            for number in chosen
        }
        together = runs.only(chosen).counterfactuals(edits.__getitem__, exact=self.exact)
        for number, effects in zip(chosen, together, strict=True):
            longest = self._longest(asked[number][0].ask.task)
            texts: Sequence[str | None] = [None] * len(effects)
            if longest:
                texts = effects.generate(max_new_tokens=longest).texts
            for tokens, logits, text in zip(sets[number], effects.logits, texts, strict=True):
                after = images[number].run.ending
                outcomes[number][tokens] = ModelOutput(logits, text, after)

    def _plan(
        self,
        context: _AblationContext,
        sample: Sample,
        image: ImageTokens,
        ask: Ask,
        clean: ModelOutput,
        memo: _Memo,
    ) -> _AblatedQuestion:
        """Scores the clean answer, and plans its ablations if it can get worse."""
        modes = modes_of(ask.task, self.modes)
        try:
            correct = {mode: context.scorer.score(ask, mode, clean).correct for mode in modes}
            question = _AblatedQuestion(ask, correct)
            if ask.task != "question" and not ask.objects:
                return question
            if not any(correct.values()):
                return question
            if self.hallucination_filter is not None and ask.task != "question":
                question = replace(question, kept=self._kept(sample, image, ask, memo))
                if not question.kept:
                    return question
            plan = conditions_for(
                image,
                [sample.objects[index].mask for index in ask.objects],
                self.conditions,
                self.sizes,
                self.min_cover,
                partial(rng_of, self.seed, sample.id),
                object_label(sample, ask),
                partial(self._by_gradient, context, sample, image, ask, memo),
            )
            return replace(question, plan=tuple(plan))
        except InputError as error:
            return _AblatedQuestion(ask, {}, error=str(error))

    def _kept(self, sample: Sample, image: ImageTokens, ask: Ask, memo: _Memo) -> bool:
        assert self.hallucination_filter is not None
        (index,) = ask.objects
        if index not in memo.kept:
            memo.kept[index] = self.hallucination_filter.outcome(
                self._describe,
                sample,
                index,
                image.run.image.layout,
                memo.caption.get(DESCRIBE),
            ).kept
        return memo.kept[index]

    def _describe(self, image: Image) -> str:
        run = self.vlm.run(self.vlm.prompt(image, DESCRIBE))
        return run.generate(max_new_tokens=self.caption_tokens).text

    def _by_gradient(
        self, context: _AblationContext, sample: Sample, image: ImageTokens, ask: Ask, memo: _Memo
    ) -> Ranking:
        """Ranks visual tokens by attribution to the answer's logit.

        As in the paper, a caption's object is attributed through its polling question; in the
        released code, and with gradient_target "paper" here, so is a question's.
        """
        paper = self.gradient_target == "paper"
        if ask.task == "question" and not paper:
            return self._ranked(context, image, ask.answer)
        index = ask.objects[0]
        name = sample.objects[index].name
        # The released scripts write the name in lower case for questions only.
        name = name.lower() if paper and ask.task == "question" else name
        text = polling_text(name, self.prompts.article)
        if text not in memo.order:
            if text not in memo.images:
                run = self.vlm.run(self.vlm.prompt(sample.image, text))
                memo.images[text] = ImageTokens(run)
            memo.order[text] = self._ranked(context, memo.images[text], "yes")
        return memo.order[text]

    def _ranked(self, context: _AblationContext, image: ImageTokens, answer: str) -> Ranking:
        """Ranks tokens by the logit of the most probable of the answer's spellings."""
        if self.gradient_target == "paper":
            target = int(self.vlm.tokenizer("Yes")["input_ids"][0])
            return image.by_released_gradient(target, context.fill, self.gradient_steps)
        pieces = context.scorer.answers.first_pieces(answer, image.run.ending)
        target = max(pieces, key=lambda piece: float(image.run.logits[piece]))
        return image.by_gradient(target, context.fill, self.gradient_steps)

    def _rows_of(
        self,
        context: _AblationContext,
        sample: Sample,
        question: _AblatedQuestion,
        outcomes: dict[Indices, ModelOutput],
    ) -> Rows:
        base: dict[str, Scalar] = {
            "sample": sample.id,
            "object": object_label(sample, question.ask),
            "task": question.ask.task,
            "kind": question.ask.kind,
            "question": question.ask.text,
            "answer": question.ask.answer,
        }
        if question.error is not None:
            return [base | {"error": question.error}]
        base |= {"fill": self.fill, "kept": question.kept}
        rows: Rows = []
        for mode, was_correct in question.correct.items():
            before = context.scorer.score(question.ask, mode, outcomes[()])
            plan = question.plan if was_correct else ()
            for condition in (CLEAN, *plan):
                after = context.scorer.score(question.ask, mode, outcomes[condition.tokens])
                rows.append(
                    base
                    | condition.name.columns
                    | {
                        "mode": mode,
                        "n_tokens": len(condition.tokens),
                        "baseline_correct": was_correct,
                        "correct": after.correct,
                        "probability_before": before.probability,
                        "probability_after": after.probability,
                        "answer_before": before.answer,
                        "answer_after": after.answer,
                        COMPLETENESS: condition.completeness,
                    }
                )
        return rows

    def _example(
        self,
        context: _AblationContext,
        sample: Sample,
        image: ImageTokens,
        question: _AblatedQuestion,
        outcomes: dict[Indices, ModelOutput],
    ) -> Example:
        mode = next(mode for mode, correct in question.correct.items() if correct)
        mode = "corrected" if question.correct.get("corrected") else mode
        before = context.scorer.score(question.ask, mode, outcomes[()])
        after: dict[str, Json] = {
            c.name.label: context.scorer.score(question.ask, mode, outcomes[c.tokens]).answer
            for c in question.plan
        }
        facts: dict[str, Json] = {
            "task": question.ask.task,
            "object": object_label(sample, question.ask),
            "question": question.ask.text,
            "prefill": question.ask.prefill,
            "answer": question.ask.answer,
            "mode": mode,
            "before": before.answer,
            "after": after,
        }
        sets = {c.name.label: c.tokens for c in question.plan if c.name.n_drawn is None}
        return example_of(sample, image, sets, facts)

    def _longest(self, task: str) -> int:
        """Returns the number of tokens to generate; 0 if the logits suffice."""
        if not needs_text(task, self.modes):
            return 0
        return {
            "generative": self.caption_tokens,
            "polling": self.polling_tokens,
            "question": self.answer_tokens,
        }[task]


@dataclass(frozen=True)
class _Memo:
    """Intermediate results for one sample.

    Attributes:
        images: the visual tokens under each prompt.
        kept: whether the filter kept each object.
        order: the visual tokens by attribution, by prompt.
        caption: captions by prompt.
    """

    images: dict[str, ImageTokens]
    kept: dict[int, bool] = field(default_factory=dict)
    order: dict[str, Ranking] = field(default_factory=dict)
    caption: dict[str, str] = field(default_factory=dict)


def _known(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise InputError(f"unknown {what} {name!r}: expected one of {', '.join(known)}")
    if not given:
        raise InputError(f"no {what} was given: expected some of {', '.join(known)}")


def make(
    vlm: VLM, samples: Sequence[Sample], options: AblationOptions, *, seed: int, n_examples: int
) -> Study:
    """Makes the study from its options."""
    kept = HallucinationFilter() if options.hallucination_filter else None
    given: dict[str, Any] = options.shared_with(TokenAblation) | {"hallucination_filter": kept}
    prompts = PromptOptions(**options.shared_with(PromptOptions))
    return TokenAblation(vlm, samples, seed=seed, n_examples=n_examples, prompts=prompts, **given)
