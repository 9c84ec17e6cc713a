"""The language model behind all interfaces, trained on text alone before it receives any image.

Descriptions in words stand where the visual tokens will be, followed by the same questions.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

from ...data.scenes import scene_layout, scene_texts
from ...interfaces import interface_tokenizer
from ..pocket import Report, Sizes, Stage, optimise
from ..pocket._language import answer_loss
from ..pocket._model import draw_blocks, draw_words, text_config
from ._ask import ask, embed
from ._conversations import Conversations
from ._descriptions import FEWEST, MOST, Descriptions, summed
from ._world import HELD_OUT_SEED, OPTIONS, TRAIN_SEED

TEXT = Stage(steps=1400, batch=16, lr=2e-3)


@dataclass(frozen=True)
class DecoderRecipe:
    """Training on text; its scenes are described as they are needed, so they hardly repeat.

    Attributes:
        scenes: number of scenes that are described.
        text_tokens: positions for questions and answers behind each description.
    """

    sizes: Sizes = field(default_factory=Sizes)
    seed: int = 0
    scenes: int = 200_000
    text_tokens: int = 112
    stage: Stage = TEXT

    def scaled(self, factor: float) -> DecoderRecipe:
        """Returns the recipe with its stage and scenes `factor` times as long."""
        scenes = max(self.stage.batch, round(self.scenes * factor))
        return replace(self, scenes=scenes, stage=self.stage.scaled(factor))


def build_decoder(
    sizes: Sizes, tokenizer: PreTrainedTokenizerBase, seed: int = 0
) -> LlamaForCausalLM:
    """The untrained language model in float32."""
    model = LlamaForCausalLM(text_config(sizes, tokenizer)).float()
    generator = torch.Generator().manual_seed(seed)
    draw_blocks(model.model, sizes.text_layers, generator)
    draw_words(model.model, model.lm_head, generator)
    return model


def train_decoder(work: Path, recipe: DecoderRecipe, report: Report) -> LlamaForCausalLM:
    """Trains the language model; a later call with the same `work` resumes."""
    tokenizer = interface_tokenizer()
    model = build_decoder(recipe.sizes, tokenizer, recipe.seed)
    descriptions, turns = Descriptions(tokenizer), Conversations(tokenizer)

    def loss_at(rng: np.random.Generator) -> Tensor:
        # As many short descriptions as long ones: short ones cost less.
        n_places = int(np.exp(rng.uniform(np.log(FEWEST), np.log(MOST + 1))))
        slots, examples = [], []
        for index in map(int, rng.choice(recipe.scenes, recipe.stage.batch, replace=False)):
            slots.append(descriptions.of(scene_layout(index, TRAIN_SEED, OPTIONS), n_places, rng))
            examples.append(turns.of_scene(*scene_texts(index, TRAIN_SEED, OPTIONS), rng))
        batch = turns.packed(examples, n_places, recipe.text_tokens)
        described = summed(model.get_input_embeddings(), torch.from_numpy(np.stack(slots)))
        return answer_loss(model, embed(model, described, batch), batch, mixed=False).answers

    work.mkdir(parents=True, exist_ok=True)
    optimise(
        "text",
        recipe.stage,
        {"decoder": model},
        loss_at,
        seed=recipe.seed,
        work=work,
        report=report,
    )
    return model


def write_decoder(model: LlamaForCausalLM, folder: Path) -> None:
    """Writes the language model in float16, with its tokenizer."""
    half = LlamaForCausalLM(model.config).half()
    half.load_state_dict(model.state_dict())
    half.save_pretrained(folder)
    interface_tokenizer().save_pretrained(folder)


@torch.no_grad()
def ask_in_words(
    model: LlamaForCausalLM, n_scenes: int, n_places: int, seed: int = HELD_OUT_SEED
) -> pl.DataFrame:
    """Asks about held-out scenes that are described in words.

    Returns:
        A row per kind of question: the share of right answers, what always giving the most frequent
        answer would reach, and the number of questions.
    """
    descriptions = Descriptions(interface_tokenizer())
    rng = np.random.default_rng(seed)
    rows: list[pl.DataFrame] = []
    for start in range(0, n_scenes, 50):
        scenes = range(start, min(n_scenes, start + 50))
        slots = [descriptions.of(scene_layout(i, seed, OPTIONS), n_places, rng) for i in scenes]
        asked = [scene_texts(i, seed, OPTIONS)[1] for i in scenes]
        visual = summed(model.get_input_embeddings(), torch.from_numpy(np.stack(slots)))
        replies = ask(model, visual, asked)
        kinds = [question.kind for questions in asked for question in questions]
        rows.append(
            pl.DataFrame({"kind": kinds, "right": replies.right, "expected": replies.expected})
        )
    most_frequent = pl.col("expected").value_counts(sort=True).struct.field("count").first()
    return (
        pl.concat(rows)
        .group_by("kind")
        .agg(right=pl.mean("right"), chance=most_frequent / pl.len(), n=pl.len())
        .sort("kind")
    )
