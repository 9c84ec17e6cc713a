"""Stage 2: an interface learns to feed the language model, which then learns to read it.

First the interface alone, in front of the frozen language model; then the interface and low-rank
updates of every matrix of the language model, as Lyrics does after its first instructions.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from ...interfaces import VisualInterface, interface_tokenizer
from ...pocket.smol.low_rank import attach, merge
from ..pocket import Report, Stage, optimise
from ..pocket._bank import Bank
from ..pocket._language import answer_loss
from ._ask import embed, without_missing
from ._conversations import Conversations
from ._seen import SeenBank

ALONE = Stage(steps=1000, batch=16, lr=2e-3)
BOTH = Stage(steps=800, batch=16, lr=2e-3)


@dataclass(frozen=True)
class ReadingRecipe:
    """The two stages.

    Attributes:
        alone: the interface is trained, the language model is frozen.
        both: the interface is trained, and low-rank updates of the language model.
        rank, alpha: of the updates, which are scaled by alpha / rank.
        text_tokens: positions for questions and answers behind each image.
    """

    alone: Stage = ALONE
    both: Stage = BOTH
    rank: int = 8
    alpha: float = 16.0
    text_tokens: int = 112

    def scaled(self, factor: float) -> ReadingRecipe:
        """Returns the recipe with both stages `factor` times as long."""
        return replace(self, alone=self.alone.scaled(factor), both=self.both.scaled(factor))


@dataclass(frozen=True, eq=False)
class ReadingResult:
    """What the language model has become.

    Attributes:
        decoder: with the updates merged.
        low_rank: the updates (see `pocket.smol.low_rank`).
        scale: by which they are multiplied.
    """

    decoder: LlamaForCausalLM
    low_rank: Mapping[str, Tensor]
    scale: float


def train_reading(
    interface: VisualInterface,
    decoder: LlamaForCausalLM,
    seen: SeenBank,
    bank: Bank,
    recipe: ReadingRecipe,
    *,
    name: str,
    seed: int,
    work: Path,
    report: Report,
    checkpoint_seconds: float = 60.0,
) -> ReadingResult:
    """Trains `interface` in place; a later call with the same `name` and `work` resumes.

    Args:
        interface: with its frozen parts in place; its last layer is drawn anew.
        decoder: the language model as trained on text; stays as it is.
        seen: what the frozen parts saw in the scenes of `bank`.
        bank: gives captions and questions.
        recipe: length of the stages, and rank.
        name: of the arm; part of the names of checkpoints. Batches do not depend on it.
        seed: of the batches, the interface's last layer and the updates.
        work: folder for checkpoints.
        report: called with the progress.
        checkpoint_seconds: time between checkpoints.

    Returns:
        The language model with its updates merged, and these.
    """
    work.mkdir(parents=True, exist_ok=True)
    for part in interface.frozen:
        interface.get_submodule(part).requires_grad_(False)
    reader = copy.deepcopy(decoder).requires_grad_(False)
    words = reader.model.embed_tokens.weight.detach()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        interface.start(float(words.square().mean().sqrt()))
    turns = Conversations(interface_tokenizer())
    interface.train()

    def train(stage_name: str, stage: Stage, modules: dict[str, nn.Module]) -> None:
        def loss_at(rng: np.random.Generator) -> Tensor:
            chosen = np.sort(rng.choice(len(seen), min(stage.batch, len(seen)), replace=False))
            room = recipe.text_tokens
            return reading_loss(interface, reader, seen, bank, turns, chosen, room, rng)

        optimise(
            f"{stage_name}-{name}",
            stage,
            modules,
            loss_at,
            seed=seed,
            work=work,
            report=report,
            batches=stage_name,
            checkpoint_seconds=checkpoint_seconds,
        )

    train("alone", recipe.alone, {"interface": interface})
    added = attach(reader.model, recipe.rank, recipe.alpha, seed, merged=True)
    train("both", recipe.both, {"interface": interface, "low_rank": added})
    interface.eval()
    merged, scale = copy.deepcopy(decoder), recipe.alpha / recipe.rank
    merge(merged.model, added.state_dict(), scale)
    return ReadingResult(merged, added.state_dict(), scale)


def reading_loss(
    interface: VisualInterface,
    reader: LlamaForCausalLM,
    seen: SeenBank,
    bank: Bank,
    turns: Conversations,
    scenes: np.ndarray,
    text_tokens: int,
    rng: np.random.Generator,
) -> Tensor:
    """The loss of the answers about scenes.

    Args:
        scenes: their numbers in `bank`.
        text_tokens: positions for questions and answers behind each image.
        rng: chooses among the questions.
    """
    examples = [turns.of_scene(bank.texts[i].caption, bank.texts[i].questions, rng) for i in scenes]
    tokens = interface(seen.rows(scenes))
    batch = turns.packed(examples, tokens.embeddings.shape[1], text_tokens)
    embedded = embed(reader, tokens.embeddings, batch)
    return answer_loss(reader, embedded, without_missing(batch, tokens.mask), mixed=False).answers
