"""Evaluation of a pocket model on held-out scenes."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerBase

from ...data.scenes import COLORS, KINDS, MORE_KINDS
from ...pocket.vocabulary import token_id
from ._bank import Bank
from ._packing import IGNORED, PREFIX, pack
from ._turns import DESCRIBE, Turns
from ._vision import pixels

_NAMED = re.compile(rf"\b(?:({'|'.join(COLORS)}) )?({'|'.join(KINDS + MORE_KINDS)})\b")


@dataclass(frozen=True)
class Scores:
    """Shares (0..1) and the number of cases behind each.

    `questions` covers all questions except polling; a one-word answer is right if it is the model's
    most probable first token.
    """

    polling: float
    questions: float
    by_kind: dict[str, float]
    caption_recall: float
    caption_precision: float
    caption_color_recall: float
    cases: dict[str, int]

    def lines(self) -> list[str]:
        """Returns one line per figure, for a terminal or a model card."""
        kinds = ", ".join(
            f"{kind} {share:.3f} (n={self.cases[kind]})" for kind, share in self.by_kind.items()
        )
        return [
            f"polling accuracy {self.polling:.3f} (n={self.cases['polling']})",
            f"question accuracy {self.questions:.3f} (n={self.cases['questions']}): {kinds}",
            f"caption object recall {self.caption_recall:.3f}, precision "
            f"{self.caption_precision:.3f}, colour and kind {self.caption_color_recall:.3f} "
            f"(scenes: {self.cases['captions']})",
        ]


@torch.no_grad()
def evaluate(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    bank: Bank,
    batch: int = 50,
) -> Scores:
    """Asks every question of `bank` and compares every caption's objects with the scene's."""
    right: dict[str, list[bool]] = defaultdict(list)
    captions: list[str] = []
    model.eval()
    for start in range(0, len(bank), batch):
        index = range(start, min(start + batch, len(bank)))
        values = pixels(bank.images[start : index.stop])
        _ask(model, tokenizer, bank, index, values, right)
        captions += _describe(model, tokenizer, values)
    return scores_of(bank, right, captions)


def scores_of(bank: Bank, right: dict[str, list[bool]], captions: Sequence[str]) -> Scores:
    """Summarises which answers were right, by kind of question, and one caption per scene."""
    named = [named_kinds(caption) for caption in captions]
    truth = [named_kinds(texts.caption) for texts in bank.texts]
    hits = sum(len(a.keys() & b.keys()) for a, b in zip(named, truth, strict=True))
    exact = sum(len(a.items() & b.items()) for a, b in zip(named, truth, strict=True))
    n_true, n_named = sum(map(len, truth)), sum(map(len, named))
    polling = right["polling"]
    right = {kind: answers for kind, answers in right.items() if kind != "polling"}
    every = [answer for answers in right.values() for answer in answers]
    return Scores(
        polling=_share(polling),
        questions=_share(every),
        by_kind={kind: _share(answers) for kind, answers in sorted(right.items())},
        caption_recall=hits / n_true,
        caption_precision=hits / max(1, n_named),
        caption_color_recall=exact / n_true,
        cases={kind: len(answers) for kind, answers in right.items()}
        | {"polling": len(polling), "questions": len(every), "captions": len(bank)},
    )


def _share(right: list[bool]) -> float:
    """The share of right answers; NaN if nothing was asked."""
    return float(np.mean(right)) if right else math.nan


def named_kinds(caption: str) -> dict[str, str]:
    """The kinds that a caption names, each with the colour before it, or ""."""
    return {kind: color for color, kind in _NAMED.findall(caption.lower())}


def _ask(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    bank: Bank,
    index: Sequence[int],
    values: torch.Tensor,
    right: dict[str, list[bool]],
) -> None:
    turns = Turns(tokenizer)
    prefix = tokenizer(PREFIX)["input_ids"]
    image = token_id(tokenizer, "<image>")
    examples = [[turns.turn(q.question, q.answer) for q in bank.texts[i].questions] for i in index]
    slots = np.full((len(index), bank.kinds.shape[1] * bank.kinds.shape[2]), image)
    room = max(sum(map(len, example)) for example in examples)
    packed = pack(examples, prefix, slots, room, token_id(tokenizer, "<pad>"))
    mask = torch.zeros(packed.mask.shape).masked_fill_(~packed.mask, torch.finfo().min)
    output = model.model(
        input_ids=packed.ids,
        pixel_values=values,
        attention_mask=mask,
        position_ids=packed.position_ids,
    )
    predicted = model.lm_head(output.last_hidden_state).argmax(-1)
    start = packed.ids.shape[1] - room
    for row, i in enumerate(index):
        at = start
        for question, turn in zip(bank.texts[i].questions, examples[row], strict=True):
            first = at + len(turn.prompt) - 1
            assert packed.labels[row, first] != IGNORED
            right[question.kind].append(bool(predicted[row, first] == turn.answer[0]))
            at += len(turn)


def _describe(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, values: torch.Tensor
) -> list[str]:
    slots = "<image>" * model.config.image_seq_length
    ids = tokenizer(f"{PREFIX}{slots}\n{DESCRIBE} ASSISTANT:", return_tensors="pt")["input_ids"]
    # The library's types do not let `generate` accept its own models.
    generate: Any = getattr(model, "generate")  # noqa: B009
    out = generate(
        input_ids=ids.expand(len(values), -1),
        attention_mask=torch.ones(len(values), ids.shape[1], dtype=torch.long),
        pixel_values=values,
        max_new_tokens=48,
        do_sample=False,
    )
    return tokenizer.batch_decode(out[:, ids.shape[1] :], skip_special_tokens=True)
