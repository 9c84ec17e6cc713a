"""The targets of a sample's maps: words of a description, answers to questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...answers.named_tokens import named_tokens
from ...answers.pieces import Answers
from ...answers.scoring import refuse_nan
from ...answers.tasks import DESCRIBE, Ask, PromptOptions, asks_of, object_label
from ...data import Sample
from ...saliency import Exact, Goal, Target, TargetScore, resolve

if TYPE_CHECKING:
    from ...engine import VLM, Run


@dataclass(frozen=True)
class Explained:
    """One target of one sample, for any model with the same tokenizer.

    Attributes:
        item: its number in the sample.
        task: "generative", "polling" or "question".
        label: the names of the objects that it is about.
        objects: their indices.
        text, prefill: the prompt.
        continuation: token ids of the model's text before the target.
        target: the target after that.
    """

    item: int
    task: str
    label: str
    objects: tuple[int, ...]
    text: str
    prefill: str | None
    continuation: tuple[int, ...]
    target: Target

    def goal(self, model: VLM, sample: Sample, exact: Exact) -> Goal:
        """Resolves the target in a run of `model`."""
        prompt = model.prompt(sample.image, self.text, self.prefill)
        return resolve(model.run(prompt, continuation=self.continuation), self.target, exact)


def explained(
    vlm: VLM,
    sample: Sample,
    tasks: Sequence[str],
    prompts: PromptOptions,
    score: TargetScore,
    max_new_tokens: int,
) -> tuple[Explained, ...]:
    """Returns all targets of a sample.

    "generative": the first word of the model's own description that names the object; an object
    that it does not name has none. "polling": the logit of "yes" minus that of "no". "question":
    the first piece of the answer. Of several spellings, the one with the largest logit is used.
    """
    asks = [ask for ask in asks_of(sample, tasks, prompts) if ask.objects]
    answers = Answers(vlm.tokenizer)
    targets: list[Explained] = []
    for ask in asks:
        if ask.task == "generative":
            continue
        run = vlm.run(vlm.prompt(sample.image, ask.text, ask.prefill))
        refuse_nan(run.logits)

        def likely(word: str, run: Run = run) -> int:
            ids = answers.first_pieces(word, run.ending)
            return max(ids, key=lambda index: float(run.logits[index]))

        if ask.task == "polling":
            target = Target.difference(likely("yes"), likely("no"))
        else:
            target = Target.token(likely(ask.answer), score)
        targets.append(_target_of(sample, ask, target))
    described = [ask for ask in asks if ask.task == "generative"]
    if described:
        run = vlm.run(vlm.prompt(sample.image, DESCRIBE))
        refuse_nan(run.logits)
        description = run.generate(max_new_tokens, keep_logits=False)
        ids = description.token_ids.tolist()
        for ask in described:
            span = named_tokens(vlm, description, sample.objects[ask.objects[0]].name)
            if span is not None:
                target = Target.tokens(ids[span[0] : span[1]], score)
                targets.append(_target_of(sample, ask, target, ids[: span[0]]))
    return tuple(replace(target, item=number) for number, target in enumerate(targets))


def _target_of(sample: Sample, ask: Ask, target: Target, before: Sequence[int] = ()) -> Explained:
    label = object_label(sample, ask)
    return Explained(0, ask.task, label, ask.objects, ask.text, ask.prefill, tuple(before), target)
