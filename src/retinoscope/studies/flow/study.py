"""Information flow: which attention edges must be open for an image to reach the words?

Kaduri et al. 2024, "What's in the Image?" (arXiv 2411.17491), and Zhang et al. 2024 (arXiv
2411.18620). Attention between named groups of tokens is blocked while the prompt is read *and*
while the model writes, in all layers, in a window, or in all but a window. Measured are the objects
that a description still names, and the change of an answer's probability and rank.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch

from ...answers.judge import Judge, judge_rows
from ...answers.matching import answers
from ...answers.objects import Overlap, objects_named
from ...answers.pieces import Answers, probability
from ...answers.scoring import refuse_nan
from ...answers.tasks import DESCRIBE, Ask, known_names, question_asks
from ...data import Sample
from ...errors import InputError
from ...store import Json, Scalar
from .._examples import example_of
from .._executor import Tell
from .._needs import Need
from .._readable import Readable
from .._sets import ImageTokens
from .._study import Example, Limits, Rows, Study, rng_of
from .._untrained import untrained_copy
from ..token_sets import NOTHING
from .edges import (
    KADURI,
    OBJECTS,
    PRESETS,
    READINGS,
    Blocked,
    block,
    name_positions,
    parse_edges,
    random_instead,
)
from .layers import KINDS, LayerSet, layer_sets
from .options import TASKS, FlowOptions
from .summary import COLUMNS

if TYPE_CHECKING:
    from ...engine import VLM, Run


@dataclass(frozen=True)
class _FlowContext:
    names: tuple[str, ...]
    layers: tuple[LayerSet, ...]
    models: dict[str, tuple[VLM, Answers]]


@dataclass(frozen=True)
class _FlowCut:
    """One condition: edges blocked in some layers."""

    edges: str
    reading: str
    where: LayerSet
    blocked: Blocked
    is_control: bool = False

    @property
    def facts(self) -> dict[str, Scalar]:
        return {
            "edges": self.edges,
            "is_control": self.is_control,
            "reading": self.reading,
            **self.where.columns,
            "n_edges": self.blocked.n_edges,
            "n_generated_keys": len(self.blocked.generated),
        }


@dataclass(frozen=True)
class _FlowOutput:
    """The text and logits under one condition."""

    text: str
    logits: torch.Tensor

    def __post_init__(self) -> None:
        refuse_nan(self.logits)


@dataclass(frozen=True, eq=False, kw_only=True)
class InformationFlow(Study[_FlowContext]):
    """Knockouts that persist during generation, between named groups of tokens.

    One batch per prompt holds all edges x readings x layer sets. Rows with edges "none" are the
    unedited texts. Rows with `is_control` have as many other, random edges of the prompt blocked in
    all layers. A copy with random weights ("untrained") is asked the same with edges blocked in all
    layers.

    Args:
        edges: names as for `parse_edges`; edges from an object apply to questions only.
        readings: roles of the prompt's last position, see `READINGS`. An answer of one token is
            written at that position, so that "image:generated" under the reading "query" cannot
            change it.
        layers: kinds of layer sets, of `layer_sets`.
        width, step: width and step of its windows.
        tasks: "description" (`DESCRIBE`), "question" (the sample's own).
        question_kinds: kinds of questions to ask.
        max_questions: maximum number of questions per sample (the first ones).
        prefill: put before the answer to questions that ask for an object's name.
        description_tokens, answer_tokens: maximum lengths of texts.
        controls: also block random edges.
        untrained: also run a copy with random weights.
        min_cover: share of a token's box that a mask must cover; 0 for any overlap.
        judge: also asked about every description of the trained model; a failure adds a row with
            its error. None for whole words only.
        unlocated: also ask questions that do not name the objects they are about.
    """

    edges: tuple[str, ...] = KADURI
    readings: tuple[str, ...] = READINGS
    layers: tuple[str, ...] = ("all", "slide", "keep")
    width: int | None = None
    step: int | None = None
    tasks: tuple[str, ...] = TASKS
    question_kinds: tuple[str, ...] = ("color", "kind", "relation", "question")
    max_questions: int | None = 1
    prefill: str | None = None
    description_tokens: int = 64
    answer_tokens: int = 6
    controls: bool = True
    untrained: bool = True
    min_cover: float = 0.0
    judge: Judge | None = None
    unlocated: bool = False

    name: ClassVar[str] = "flow"
    needs: ClassVar[str] = "objects to describe, or questions that say which objects they are about"
    uses: ClassVar[tuple[Need, ...]] = (
        Need("objects", "objects", "descriptions of images with objects"),
        Need("located", "objects", "the data's questions, with the tokens of their objects"),
        Need(
            "questions",
            "questions",
            "questions are asked without their objects' tokens: edges of an object are left out",
            instead=True,
        ),
    )
    limits: ClassVar[Limits] = {
        "description_tokens": (1, None),
        "answer_tokens": (1, None),
        "width": (1, None),
        "step": (1, None),
        "max_questions": (1, None),
        "min_cover": (0, 1),
    }
    schema: ClassVar[int] = 3
    columns: ClassVar[tuple[str, ...]] = tuple(COLUMNS)

    def _check(self) -> None:
        for what, given, known in (
            ("reading", self.readings, READINGS),
            ("task", self.tasks, TASKS),
            ("kind of layer sets", self.layers, KINDS),
        ):
            wrong = [name for name in given if name not in known]
            if wrong or not given:
                got = repr(wrong[0]) if wrong else "none"
                raise InputError(f"expected a {what} of {', '.join(known)}, got {got}")
        if not self.edges:
            raise InputError("expected at least one set of edges, got none")
        parsed = [parse_edges(edges) for edges in self.edges]
        if self.tasks == ("description",) and all(_of_object(edges) for edges in parsed):
            raise InputError(
                "expected edges that a description has, got only those of a question's object: add "
                "the task 'question'"
            )
        if self.judge is not None:
            self.judge.check()

    def _check_model(self) -> None:
        self.vlm.capabilities.require("knockout")
        layer_sets(self.vlm.n_layers, self.layers, self.width, self.step)

    def _depends_on(self, index: int, prints: Sequence[str], data: str) -> object:
        # The known names of objects depend on all samples.
        return data

    def asks(self, sample: Sample) -> Mapping[str, int]:
        counts = {"objects": min(1, len(sample.objects))} if "description" in self.tasks else {}
        if "question" not in self.tasks:
            return counts
        located, every = (
            len(question_asks(sample, self.question_kinds, unlocated=unlocated))
            for unlocated in (False, True)
        )
        free = any(not _of_object(parse_edges(edges)) for edges in self.edges)
        return counts | {"located": located, "questions": every if free else 0}

    def _instead(self) -> Self:
        return replace(self, unlocated=True)

    def _parameters(self) -> dict[str, object]:
        judge = None if self.judge is None else self.judge.describe()
        options = super()._parameters() | {"judge": judge}
        # Only if used, so that earlier runs keep their identity.
        if not self.unlocated:
            del options["unlocated"]
        return options

    def measure(self, readable: Readable, tell: Tell) -> tuple[str, ...]:
        return known_names(readable)

    def context(self, readable: Readable, measured: tuple[str, ...]) -> _FlowContext:
        models = {"trained": self.vlm}
        if self.untrained:
            models["untrained"] = untrained_copy(self.vlm, self.seed)
        return _FlowContext(
            measured,
            layer_sets(self.vlm.n_layers, self.layers, self.width, self.step),
            {name: (model, Answers(model.tokenizer)) for name, model in models.items()},
        )

    def _rows(
        self, context: _FlowContext, index: int, sample: Sample, keep: bool
    ) -> tuple[Rows, list[Example]]:
        asks: list[Ask | None] = []
        if "description" in self.tasks and sample.objects:
            asks.append(None)
        if "question" in self.tasks:
            asks += question_asks(
                sample, self.question_kinds, self.prefill, self.max_questions, self.unlocated
            )
        rows: Rows = []
        examples: list[Example] = []
        for weights, (model, words) in context.models.items():
            for item, ask in enumerate(asks):
                base = _facts(ask) | {"sample": sample.id, "item": item, "weights": weights}
                try:
                    new, example = self._prompt(context, sample, ask, weights, model, words)
                except InputError as error:
                    rows.append(base | {"error": str(error)})
                    continue
                rows += [base | row for row in new]
                if keep and not examples and weights == "trained":
                    examples.append(example)
        return rows, examples

    def _prompt(
        self,
        context: _FlowContext,
        sample: Sample,
        ask: Ask | None,
        weights: str,
        model: VLM,
        words: Answers,
    ) -> tuple[Rows, Example]:
        text, prefill = (DESCRIBE, None) if ask is None else (ask.text, ask.prefill)
        run = model.run(model.prompt(sample.image, text, prefill=prefill))
        image = ImageTokens(run)
        longest = self.description_tokens if ask is None else self.answer_tokens
        clean = run.generate(longest, keep_logits=False)
        before = _FlowOutput(clean.text, run.logits)

        def measured(output: _FlowOutput) -> dict[str, Scalar]:
            if ask is None:
                return _described(context.names, sample, before, output)
            return _answered(words, ask, before, output, run.ending)

        untouched: dict[str, Scalar] = {"edges": NOTHING, "is_control": False}
        rows: Rows = [untouched | measured(before)]
        cuts, refused = self._cuts(context, sample, image, ask, weights, len(clean.token_ids) - 1)
        rows += refused
        after = self._under(run, cuts, longest)
        rows += [cut.facts | measured(output) for cut, output in zip(cuts, after, strict=True)]
        if self.judge is not None and ask is None and weights == "trained":
            rows += judge_rows(self.judge, rows)
        facts: dict[str, Json] = {
            "question": text,
            "prefill": prefill,
            "before": before.text,
            "after": [
                {
                    "edges": cut.edges,
                    "is_control": cut.is_control,
                    "reading": cut.reading,
                    "text": output.text,
                }
                for cut, output in zip(cuts, after, strict=True)
                if cut.where.kind == "all"
            ],
        }
        return rows, example_of(sample, image, {}, facts)

    def _under(self, run: Run, cuts: Sequence[_FlowCut], longest: int) -> list[_FlowOutput]:
        if not cuts:
            return []
        effects = run.counterfactuals(
            [cut.blocked.knockouts(run, cut.where.layers) for cut in cuts], exact=self.exact
        )
        texts = effects.generate(longest).texts
        return [_FlowOutput(*output) for output in zip(texts, effects.logits, strict=True)]

    def _cuts(
        self,
        context: _FlowContext,
        sample: Sample,
        image: ImageTokens,
        ask: Ask | None,
        weights: str,
        written: int,
    ) -> tuple[list[_FlowCut], Rows]:
        """Returns all conditions of one prompt, and a row with its error for each refused one.

        Args:
            written: number of tokens of the unedited text that were read again.
        """
        masks = [] if ask is None else [sample.objects[index].mask for index in ask.objects]
        run = image.run
        rng = rng_of(self.seed, sample.id, DESCRIBE if ask is None else ask.text, "edges")
        everywhere = layer_sets(run.vlm.n_layers, ("all",))
        planned: list[_FlowCut] = []
        for reading in self.readings:
            positions = name_positions(image, reading, masks, self.min_cover)
            for edges in self.edges:
                blocked = block(parse_edges(edges), positions)
                if blocked is None:
                    continue
                where = context.layers if weights == "trained" else everywhere
                planned += [_FlowCut(edges, reading, layers, blocked) for layers in where]
                if self.controls and weights == "trained":
                    random = random_instead(blocked, run.n, written, rng)
                    if random.prompt:
                        planned.append(
                            _FlowCut(edges, reading, everywhere[0], random, is_control=True)
                        )
        good: list[_FlowCut] = []
        refused: Rows = []
        for cut in planned:
            try:
                run.resolve([cut.blocked.knockouts(run, cut.where.layers)])
            except InputError as error:
                refused.append(cut.facts | {"error": str(error)})
            else:
                good.append(cut)
        return good, refused


def _of_object(edges: Sequence[tuple[str, str]]) -> bool:
    return any(source in OBJECTS for source, _ in edges)


def _facts(ask: Ask | None) -> dict[str, Scalar]:
    if ask is None:
        return {"task": "description", "question": DESCRIBE}
    return {"task": "question", "question": ask.text, "answer": ask.answer, "kind": ask.kind}


def _described(
    names: Sequence[str], sample: Sample, before: _FlowOutput, after: _FlowOutput
) -> dict[str, Scalar]:
    """What of the untouched description survives, and what of the truth is named."""
    truth = frozenset(obj.name for obj in (*sample.objects, *sample.others))
    named = objects_named(after.text, names)
    kept = Overlap.of(named, objects_named(before.text, names))
    true = Overlap.of(named, truth)
    return {
        "text_before": before.text,
        "text_after": after.text,
        "changed": before.text != after.text,
        "tp": kept.tp,
        "fp": kept.fp,
        "fn": kept.fn,
        "precision": kept.precision,
        "recall": kept.recall,
        "f1": kept.f1,
        "truth_precision": true.precision,
        "truth_recall": true.recall,
        "truth_f1": true.f1,
    }


def _answered(
    words: Answers, ask: Ask, before: _FlowOutput, after: _FlowOutput, ending: str
) -> dict[str, Scalar]:
    """Probability and rank of the right answer's first piece, and whether the text holds it."""
    pieces = words.first_pieces(ask.answer, ending)
    return {
        "text_before": before.text,
        "text_after": after.text,
        "changed": before.text != after.text,
        "probability_before": probability(before.logits, pieces),
        "probability_after": probability(after.logits, pieces),
        "rank_before": _rank(before.logits, pieces),
        "rank_after": _rank(after.logits, pieces),
        "correct_before": answers(before.text, ask.answer),
        "correct_after": answers(after.text, ask.answer),
    }


def _rank(logits: torch.Tensor, pieces: Sequence[int]) -> int:
    """Returns the best rank of the pieces; 1 is the most probable token."""
    return 1 + int((logits > logits[list(pieces)].max()).sum())


def make(
    vlm: VLM, samples: Sequence[Sample], options: FlowOptions, *, seed: int, n_examples: int
) -> Study:
    """Makes the study from its options."""
    usual = PRESETS[options.preset]
    given: dict[str, Any] = options.shared_with(InformationFlow) | {
        "edges": options.edges or usual.edges,
        "readings": options.last_prompt_as or usual.readings,
        "description_tokens": options.max_new_tokens,
        "judge": options.judge(),
    }
    return InformationFlow(vlm, samples, seed=seed, n_examples=n_examples, **given)
