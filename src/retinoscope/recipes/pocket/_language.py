"""Stage 0: the language model is trained on text alone, before it sees any image.

Two corpora describe scenes in the 144 positions that the image will later occupy, followed by the
same questions. `maps` writes one word per position in reading order, as on a map: the object's kind
or its colour (alternating, like a chessboard), "ground" elsewhere. `sentences` fills the positions
with plain sentences. A model that has read maps has learned to expect, at a position, the word of
the object there; a reading with the logit lens has to take that into account.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import (
    LlamaForCausalLM,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerBase,
)

from ...data.scenes import COLORS, KINDS, SIGN_WORDS, article
from ...pocket.vocabulary import token_id
from ._bank import AMBIGUOUS, Bank
from ._config import Corpus, Recipe
from ._loop import Report, optimise
from ._packing import IGNORED, PREFIX, TokenBatch, pack
from ._turns import Turns

CONTEXT_WEIGHT = 0.3
_ROWS = ("top", "middle", "bottom")
_COLS = ("left", "middle", "right")

Slots = Callable[[int, np.random.Generator], np.ndarray]


def train_language(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    bank: Bank,
    corpus: Corpus,
    recipe: Recipe,
    work: Path,
    report: Report,
) -> None:
    """Trains the language model in place on `corpus`; does nothing for "none"."""
    if corpus == "none":
        return
    slots = _maps(bank, tokenizer) if corpus == "maps" else _sentences(bank, tokenizer)
    turns = Turns(tokenizer)
    prefix = tokenizer(PREFIX)["input_ids"]
    pad = token_id(tokenizer, "<pad>")
    n_slots = recipe.sizes.grid**2

    def loss_at(rng: np.random.Generator) -> Tensor:
        chosen = rng.choice(len(bank), recipe.language.batch, replace=False)
        examples = [
            turns.of_scene(bank.texts[i].caption, bank.texts[i].questions, rng) for i in chosen
        ]
        context = np.stack([slots(int(i), rng) for i in chosen])
        batch = pack(examples, prefix, context, recipe.text_tokens, pad)
        embedded = model.get_input_embeddings()(batch.ids)
        answers = answer_loss(model, embedded, batch)
        return answers.answers + CONTEXT_WEIGHT * _context_loss(
            model, answers.hidden, batch.ids, len(prefix), n_slots
        )

    modules = {"language": model.model.language_model, "unembedding": model.lm_head}
    name = f"language-{corpus}"
    optimise(name, recipe.language, modules, loss_at, seed=recipe.seed, work=work, report=report)


@dataclass(frozen=True)
class AnswerLoss:
    """Mean loss over answer tokens, and the hidden states it was computed from."""

    answers: Tensor
    hidden: Tensor


def answer_loss(
    model: LlavaForConditionalGeneration | LlamaForCausalLM,
    embedded: Tensor,
    batch: TokenBatch,
    *,
    mixed: bool = True,
) -> AnswerLoss:
    """Runs the decoder over a packed batch; unembeds only where an answer is predicted.

    An answer of n tokens has the weight 1 / sqrt(n) per token: otherwise captions would drown the
    one-word answers, which have to be looked up in the image. `mixed` computes products in
    bfloat16.
    """
    mask = torch.zeros(batch.mask.shape, dtype=embedded.dtype, device=embedded.device)
    mask = mask.masked_fill_(~batch.mask, -1e4)
    with torch.autocast(embedded.device.type, torch.bfloat16, enabled=mixed):
        hidden = model.get_decoder()(
            inputs_embeds=embedded,
            attention_mask=mask,
            position_ids=batch.position_ids,
            use_cache=False,
        ).last_hidden_state
        learned = batch.labels != IGNORED
        logits = model.lm_head(hidden[learned])
    losses = F.cross_entropy(logits.float(), batch.labels[learned], reduction="none")
    weights = batch.weights[learned]
    return AnswerLoss((losses * weights).sum() / weights.sum(), hidden)


def _context_loss(
    model: LlavaForConditionalGeneration, hidden: Tensor, ids: Tensor, start: int, n: int
) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        logits = model.lm_head(hidden[:, start : start + n - 1])
    return F.cross_entropy(logits.flatten(0, 1).float(), ids[:, start + 1 : start + n].flatten())


def _word_ids(tokenizer: PreTrainedTokenizerBase, *words: str) -> np.ndarray:
    return np.array([tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in words])


def _maps(bank: Bank, tokenizer: PreTrainedTokenizerBase) -> Slots:
    kind_ids = _word_ids(tokenizer, "ground", *KINDS, *SIGN_WORDS)
    color_ids = _word_ids(tokenizer, "ground", *COLORS)
    rows, cols = bank.kinds.shape[1:]
    chessboard = np.add.outer(np.arange(rows), np.arange(cols)) % 2 == 0

    def slots(index: int, rng: np.random.Generator) -> np.ndarray:
        kinds, colors = np.array(bank.kinds[index]), np.array(bank.colors[index])
        kinds[kinds == AMBIGUOUS] = 0
        colors[(colors == AMBIGUOUS) | (kinds == 0)] = 0
        # A sign has no colour of its own: its word fills all of its positions.
        by_color = (chessboard ^ bool(rng.integers(2))) & (colors > 0)
        return np.where(by_color, color_ids[colors], kind_ids[kinds]).reshape(-1)

    return slots


def _sentences(bank: Bank, tokenizer: PreTrainedTokenizerBase) -> Slots:
    n_slots = bank.kinds.shape[1] * bank.kinds.shape[2]
    known: dict[str, list[int]] = {}

    def ids(sentence: str) -> list[int]:
        if sentence not in known:
            known[sentence] = tokenizer(sentence, add_special_tokens=False)["input_ids"]
        return known[sentence]

    def slots(index: int, rng: np.random.Generator) -> np.ndarray:
        sentences = _describe(np.array(bank.kinds[index]), np.array(bank.colors[index]))
        out: list[int] = []
        while len(out) < n_slots:
            for number in rng.permutation(len(sentences)):
                out += ids(sentences[number])
        return np.array(out[:n_slots])

    return slots


def _describe(kinds: np.ndarray, colors: np.ndarray) -> list[str]:
    """Returns sentences that are true of a scene, derived from its patch labels."""
    sentences = ["This is an image."]
    placed: list[tuple[str, float, float]] = []
    for label in np.unique(kinds):
        if label in (0, AMBIGUOUS):
            continue
        at = np.argwhere(kinds == label)
        row, col = at.mean(0)
        if label > len(KINDS):
            sentences.append(f"A sign says {SIGN_WORDS[label - 1 - len(KINDS)]}.")
            continue
        kind = KINDS[label - 1]
        shades = colors[kinds == label]
        shades = shades[(shades > 0) & (shades != AMBIGUOUS)]
        place = f"{_ROWS[int(row * 3 / len(kinds))]} {_COLS[int(col * 3 / len(kinds))]}"
        sentences.append(f"The {kind} is at the {place}.")
        if len(shades):
            color = COLORS[int(np.bincount(shades).argmax()) - 1]
            sentences.append(f"There is {article(color)} {color} {kind} at the {place}.")
            sentences.append(f"The {kind} is {color}.")
        placed.append((kind, row, col))
    for first, row, col in placed:
        for second, other_row, other_col in placed:
            down, right = other_row - row, other_col - col
            if abs(right) > 1.3 * abs(down):
                side = "left of" if right > 0 else "right of"
            elif abs(down) > 1.3 * abs(right):
                side = "above" if down > 0 else "below"
            else:
                continue
            sentences.append(f"The {first} is {side} the {second}.")
    return sentences
