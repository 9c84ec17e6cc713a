"""What a trained interface's language model answers about held-out scenes, question by question."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from transformers import LlamaForCausalLM

from ...data import Question
from ...data.scenes import KINDS, SceneOptions, scene_layout
from ...interfaces import VisualInterface, interface_tokenizer
from ..pocket._bank import Bank
from ..pocket._evaluate import named_kinds
from ..pocket._turns import DESCRIBE
from ._ask import Replies, ask
from ._conversations import AFTER_IMAGE, BEFORE_ANSWER
from ._seen import SeenBank
from ._world import HELD_OUT_SEED, OPTIONS, SMALL_RADIUS, ObjectSize

_BATCH = 50
_LONGEST_CAPTION = 40
SCHEMA = {
    "scene": pl.Int32,
    "kind": pl.String,
    "question": pl.String,
    "expected": pl.String,
    "said": pl.String,
    "right": pl.Boolean,
    "yes": pl.Float32,
    "object": pl.Int32,
    "area": pl.Int32,
    "radius": pl.Float32,
}
"""The columns of `Judgement.rows`."""


@dataclass(frozen=True, eq=False)
class Judgement:
    """Answers and captions about held-out scenes.

    Attributes:
        rows: one row per question, and for captions one per object of the scene (kind
            "caption-recall": right if its kind is named) and one per kind named (kind
            "caption-precision": right if it is there). `yes` is the probability of "yes" among
            "yes" and "no", for polling questions. `object` is the one object that the row is about,
            `area` its visible pixels, `radius` in pixels; null if there is none or there are
            several.
    """

    rows: pl.DataFrame

    def scores(self) -> dict[str, float]:
        """Shares (0..1) of right answers by kind of question, and of "yes" by what was asked for.

        "present-small" and "present-large" are the share of "yes" about present kinds by the size
        of the object, "absent" and "absent-adversarial" that about absent ones.
        """
        shares = dict(self.rows.group_by("kind").agg(pl.mean("right")).sort("kind").iter_rows())
        polling, small = pl.col("kind") == "polling", pl.col("radius") <= SMALL_RADIUS
        no = pl.col("expected") == "no"
        chosen = {
            "present-small": polling & small,
            "present-large": polling & ~small,
            "absent": polling & no,
            "absent-adversarial": (pl.col("kind") == "polling-adversarial") & no,
        }
        said_yes = {n: self.rows.filter(c)["said"] == "yes" for n, c in chosen.items()}
        shares |= {name: _share(answers) for name, answers in said_yes.items()}
        recall = pl.col("kind") == "caption-recall"
        for name, size in {"small": small, "large": ~small}.items():
            shares[f"caption-recall-{name}"] = _share(self.rows.filter(recall & size)["right"])
        return shares


def _share(answers: pl.Series) -> float:
    """The share of true values; NaN of none."""
    return float(np.mean(answers.to_numpy())) if len(answers) else math.nan


@torch.no_grad()
def judge(
    interface: VisualInterface,
    decoder: LlamaForCausalLM,
    seen: SeenBank,
    bank: Bank,
    sizes: Sequence[Sequence[ObjectSize]],
    seed: int = HELD_OUT_SEED,
    options: SceneOptions = OPTIONS,
) -> Judgement:
    """Asks every question about every scene, and has each described.

    Args:
        interface: trained.
        decoder: the language model that reads it.
        seen: what the interface's frozen parts saw in the scenes of `bank`.
        bank: held-out scenes 0..n-1 of `seed`.
        sizes: of the objects of these scenes, from `object_sizes`.
        seed, options: of the scenes.
    """
    decoder.eval()
    interface.eval()
    frames: list[pl.DataFrame] = []
    for start in range(0, len(bank), _BATCH):
        scenes = np.arange(start, min(len(bank), start + _BATCH))
        tokens = interface(seen.rows(scenes))
        asked = [bank.texts[int(i)].questions for i in scenes]
        replies = ask(decoder, tokens.embeddings, asked, tokens.mask)
        frames.append(_question_rows(scenes, asked, replies, sizes))
        captions = describe(decoder, tokens.embeddings, tokens.mask)
        frames.append(_caption_rows(scenes, captions, sizes, seed, options))
    return Judgement(pl.concat(frames))


def describe(
    decoder: Any,
    visual: Float[Tensor, "batch token d_model"],
    there: Bool[Tensor, "batch token"] | None = None,
) -> list[str]:
    """One caption per image, written greedily; `there` as in `ask`."""
    tokenizer = interface_tokenizer()
    text = f"{AFTER_IMAGE} {DESCRIBE} {BEFORE_ANSWER}"
    ids = tokenizer(text, return_tensors="pt")["input_ids"].expand(len(visual), -1)
    whole = torch.ones(visual.shape[:2], dtype=torch.bool) if there is None else there
    embeds = torch.cat([visual, decoder.get_input_embeddings()(ids)], 1)
    out = decoder.generate(
        inputs_embeds=embeds,
        attention_mask=torch.cat([whole.long(), torch.ones_like(ids)], 1),
        max_new_tokens=_LONGEST_CAPTION,
        do_sample=False,
    )
    return tokenizer.batch_decode(out, skip_special_tokens=True)


def _question_rows(
    scenes: np.ndarray,
    asked: Sequence[Sequence[Question]],
    replies: Replies,
    sizes: Sequence[Sequence[ObjectSize]],
) -> pl.DataFrame:
    """One row per question, in the order of `replies`."""
    words = interface_tokenizer().convert_ids_to_tokens(replies.said.tolist())
    pairs = [(int(i), q) for i, questions in zip(scenes, asked, strict=True) for q in questions]
    rows = [
        {
            "scene": index,
            "kind": question.kind,
            "question": question.question,
            "expected": question.answer,
            "said": word.removeprefix("▁"),
            "right": bool(right),
            "yes": float(yes) if question.kind.startswith("polling") else None,
            **(_of_object(question.about[0], sizes[index]) if len(question.about) == 1 else {}),
        }
        for (index, question), word, right, yes in zip(
            pairs, words, replies.right, replies.yes, strict=True
        )
    ]
    return pl.DataFrame(rows, SCHEMA)


def _caption_rows(
    scenes: np.ndarray,
    captions: Sequence[str],
    sizes: Sequence[Sequence[ObjectSize]],
    seed: int,
    options: SceneOptions,
) -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    for index, caption in zip(map(int, scenes), captions, strict=True):
        present = [KINDS[item.kind] for item in scene_layout(index, seed, options).items]
        named = list(named_kinds(caption))
        common = {"scene": index, "question": DESCRIBE, "said": caption}
        rows += [
            {
                **common,
                "kind": "caption-recall",
                "expected": kind,
                "right": kind in named,
                **_of_object(number, sizes[index]),
            }
            for number, kind in enumerate(present)
        ]
        rows += [
            {**common, "kind": "caption-precision", "expected": kind, "right": kind in present}
            for kind in named
        ]
    return pl.DataFrame(rows, SCHEMA)


def _of_object(number: int, sizes: Sequence[ObjectSize]) -> dict[str, Any]:
    size = sizes[number]
    return {"object": number, "area": size.area, "radius": size.radius}
