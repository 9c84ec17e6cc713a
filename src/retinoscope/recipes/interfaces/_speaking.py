"""A language model that reads images learns to write them, in the codes of a tokenizer.

Source: Jin et al. 2024 (LaVIT, arXiv 2309.04669), section 3.2: one cross-entropy over one
vocabulary. Behind an image, words are learned; behind a caption, the codes of its image. An image
that is read enters as continuous tokens, one that is written as codes.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from transformers import LlamaForCausalLM

from ...interfaces import Lavit, NewWords, interface_tokenizer
from ...interfaces.codes import CodeSequences
from ...pocket.smol.low_rank import attach
from ..pocket import Report, Stage, optimise
from ..pocket._bank import Bank
from ..pocket._packing import IGNORED
from ._conversations import Conversations
from ._read import ReadingRecipe, ReadingResult, reading_loss
from ._seen import SeenBank

SPEAK = Stage(steps=1500, batch=16, lr=2e-3)


@dataclass(frozen=True)
class CodeIds:
    """The ids of the words that a codebook adds, which come after all others.

    Attributes:
        open, close: what stands around the codes.
        first: of code 0.
        n: of all words with them.
    """

    open: int
    close: int
    first: int
    n: int

    @classmethod
    def of(cls, n_codes: int) -> CodeIds:
        known = len(interface_tokenizer())
        return cls(known, known + 1, known + 2, known + 2 + n_codes)


@dataclass(frozen=True, eq=False)
class SpeakingResult:
    """What the language model has become.

    Attributes:
        low_rank: the updates of its matrices, on from those that it began with.
        rows: of the new words (see `NewWords`).
    """

    low_rank: Mapping[str, Tensor]
    rows: Mapping[str, Tensor]


def train_speaking(
    interface: Lavit,
    decoder: LlamaForCausalLM,
    reading: ReadingResult,
    seen: SeenBank,
    bank: Bank,
    recipe: ReadingRecipe,
    stage: Stage,
    *,
    name: str,
    seed: int,
    work: Path,
    report: Report,
) -> SpeakingResult:
    """Trains `interface` in place, and what the language model learned; a later call resumes.

    Half of each batch is read, with questions and answers, the other half is written.

    Args:
        interface: trained to be read.
        decoder: the language model as trained on text; stays as it is.
        reading: what it learned to read the interface.
        seen, bank: of the training scenes.
        recipe: of the reading.
        stage: length of the training.
        name: of the arm; part of the names of checkpoints.
        seed: of the batches and the new words.
        work: folder for checkpoints.
        report: called with the progress.
    """
    reader = copy.deepcopy(decoder).requires_grad_(False)
    ids = CodeIds.of(interface.tokenizer.shape.n_codes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        words = NewWords(reader, ids.n - ids.open)
    _start_as_tokens(words, interface, seen, ids)
    words.attach(reader)
    added = attach(reader.model, recipe.rank, recipe.alpha, seed, merged=True)
    added.load_state_dict(dict(reading.low_rank))
    turns, tokenizer = Conversations(interface_tokenizer()), interface_tokenizer()
    interface.train()

    def loss_at(rng: np.random.Generator) -> Tensor:
        chosen = rng.choice(len(seen), min(stage.batch, len(seen)), replace=False)
        read, written = (np.sort(half) for half in np.array_split(chosen, 2))
        loss = reading_loss(interface, reader, seen, bank, turns, read, recipe.text_tokens, rng)
        codes = encoded(interface, seen, written)
        captions = [tokenizer(bank.texts[i].caption)["input_ids"] for i in written]
        return loss + writing_loss(reader, captions, codes, ids)

    optimise(
        f"speak-{name}-{seed}",
        stage,
        {"interface": interface, "low_rank": added, "words": words},
        loss_at,
        seed=seed,
        work=work,
        report=report,
        batches="speak",
    )
    interface.eval()
    rows = {key: value.detach() for key, value in words.state_dict().items()}
    return SpeakingResult(added.state_dict(), rows)


def encoded(interface: Lavit, seen: SeenBank, scenes: np.ndarray) -> CodeSequences:
    """The codes of scenes."""
    return interface.tokenizer.encode(seen.rows(scenes)["contrastive"][:, 1:], interface.share)


def writing_loss(
    decoder: LlamaForCausalLM,
    captions: list[list[int]],
    codes: CodeSequences,
    ids: CodeIds,
) -> Tensor:
    """Mean cross-entropy of the codes behind their captions, and of what stands around them."""
    texts, labels = [], []
    for caption, row, there in zip(captions, codes.codes, codes.mask, strict=True):
        image = code_ids(row[there], ids)
        texts.append(torch.cat([row.new_tensor(caption), image]))
        labels.append(torch.cat([row.new_full((len(caption),), IGNORED), image]))
    padded = pad_sequence(texts, batch_first=True)
    wanted = pad_sequence(labels, batch_first=True, padding_value=IGNORED)
    there = pad_sequence([torch.ones_like(text) for text in texts], batch_first=True)
    hidden = decoder.model(
        input_ids=padded, attention_mask=there, use_cache=False
    ).last_hidden_state
    learned = wanted[:, 1:] != IGNORED
    logits = decoder.lm_head(hidden[:, :-1][learned])
    return F.cross_entropy(logits, wanted[:, 1:][learned])


@torch.no_grad()
def _start_as_tokens(words: NewWords, interface: Lavit, seen: SeenBank, ids: CodeIds) -> None:
    """Each code starts as the mean of the visual tokens that have it."""
    scenes = np.arange(min(len(seen), 400))
    codes, tokens = encoded(interface, seen, scenes), interface.eval()(seen.rows(scenes))
    which = codes.codes[codes.mask] + ids.first - ids.open
    sums = torch.zeros_like(words.inputs).index_add_(0, which, tokens.embeddings[tokens.there])
    counts = torch.bincount(which, minlength=len(sums))[:, None]
    words.inputs.copy_(torch.where(counts > 0, sums / counts.clamp(min=1), words.inputs))


def code_ids(codes: Int[Tensor, " token"], ids: CodeIds) -> Int[Tensor, " word"]:
    """The words of a sequence of codes, with what stands around them."""
    return torch.cat(
        [codes.new_tensor([ids.open]), codes + ids.first, codes.new_tensor([ids.close])]
    )
