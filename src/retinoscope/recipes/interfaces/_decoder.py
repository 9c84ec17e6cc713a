"""The language model behind all interfaces: pocket's, which goes on to read scenes in words.

Descriptions in words stand where the visual tokens will be, followed by the same questions.
Pocket's language model has already answered questions about images, through its own projector, so
it knows how to look up what is asked for. From random weights, 1,400 steps did not reach that:
half of the questions for a colour were still answered with another object's.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor
from transformers import (
    LlamaForCausalLM,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerBase,
)

from ...data.scenes import KINDS, plural, scene_layout, scene_texts
from ...interfaces import interface_tokenizer
from ...pocket import folder
from ...pocket.vocabulary import token_id
from ..pocket import Report, Sizes, Stage, claim, optimise
from ..pocket._language import answer_loss
from ..pocket._model import draw_blocks, draw_words, text_config
from ._ask import ask, embed
from ._conversations import Conversations
from ._descriptions import FEWEST, MOST, Descriptions, summed
from ._world import HELD_OUT_SEED, OPTIONS, TRAIN_SEED

TEXT = Stage(steps=1000, batch=16, lr=1e-3, warmup=50)
_NOISE = 0.1


@dataclass(frozen=True)
class DecoderRecipe:
    """Training on text; its scenes are described as they are needed, so they hardly repeat.

    Attributes:
        start: the packaged model whose language model it starts from; None for random weights.
        scenes: number of scenes that are described.
        text_tokens: positions for questions and answers behind each description.
    """

    sizes: Sizes = field(default_factory=Sizes)
    start: str | None = "pocket"
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


@torch.no_grad()
def take_language_model(
    model: LlamaForCausalLM, source: str, tokenizer: PreTrainedTokenizerBase, seed: int
) -> None:
    """Gives `model` the weights of a pocket model's language model.

    Plurals start as their singulars, "question" and "answer" as "user" and "assistant", which stand
    in their places in pocket's prompts, and other new words as the mean of all.
    """
    pocket = LlavaForConditionalGeneration.from_pretrained(folder(source), dtype=torch.float32)
    known = pocket.model.language_model
    blocks = {k: v for k, v in known.state_dict().items() if not k.startswith("embed_tokens.")}
    model.model.load_state_dict(blocks, strict=False)
    like = {plural(kind): kind for kind in KINDS} | {"question": "user", "answer": "assistant"}
    generator = torch.Generator().manual_seed(seed)
    pairs = ((model.model.embed_tokens, known.embed_tokens), (model.lm_head, pocket.lm_head))
    for rows, old in ((new.weight, known.weight) for new, known in pairs):
        n, mean = len(old), old.mean(0)
        rows[:n] = old
        rows[n:] = mean + _NOISE * torch.randn(rows[n:].shape, generator=generator)
        for word, other in like.items():
            if (row := token_id(tokenizer, f"▁{word}")) >= n:
                rows[row] = old[token_id(tokenizer, f"▁{other}")]


def train_decoder(work: Path, recipe: DecoderRecipe, report: Report) -> LlamaForCausalLM:
    """Trains the language model; a later call with the same `work` resumes.

    Raises:
        InputError: `work` belongs to another recipe.
    """
    tokenizer = interface_tokenizer()
    model = build_decoder(recipe.sizes, tokenizer, recipe.seed)
    if recipe.start is not None:
        take_language_model(model, recipe.start, tokenizer, recipe.seed)
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

    claim(work, asdict(recipe))
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
