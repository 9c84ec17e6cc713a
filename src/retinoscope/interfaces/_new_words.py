"""Further words of a language model: rows at the end of its embeddings and of its head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlamaForCausalLM

_HEAD_STD = 0.08


class NewWords(nn.Module):
    """Trained rows for words that come after all that a frozen language model knows.

    Args:
        decoder: the language model.
        n: the number of new words.
    """

    def __init__(self, decoder: LlamaForCausalLM, n: int) -> None:
        super().__init__()
        known = decoder.model.embed_tokens.weight
        scale = float(known.detach().square().mean().sqrt())
        self.inputs = nn.Parameter(torch.randn(n, known.shape[1]) * scale)
        self.outputs = nn.Parameter(torch.randn(n, known.shape[1]) * _HEAD_STD)

    def attach(self, decoder: LlamaForCausalLM) -> None:
        """From now on the language model reads and predicts these words too.

        They stay parameters of this module alone.
        """
        embedding: Any = _WiderEmbedding(decoder.model.embed_tokens.weight, self, "inputs")
        decoder.model.embed_tokens = embedding
        head: Any = _WiderHead(decoder.lm_head.weight, self, "outputs")
        decoder.lm_head = head


class _WiderMatrix(nn.Module):
    """A frozen matrix with trained rows behind its own."""

    def __init__(self, frozen: Tensor, words: NewWords, name: str) -> None:
        super().__init__()
        # In a tuple: not a part of this module's parameters.
        self._parts, self._name = (frozen, words), name

    @property
    def weight(self) -> Float[Tensor, "word d_model"]:
        """All rows."""
        frozen, words = self._parts
        return torch.cat([frozen, getattr(words, self._name)])


class _WiderEmbedding(_WiderMatrix):
    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch d_model"]:
        return F.embedding(ids, self.weight)


class _WiderHead(_WiderMatrix):
    def forward(self, hidden: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch word"]:
        return F.linear(hidden, self.weight)


@torch.no_grad()
def widen(decoder: LlamaForCausalLM, rows: Mapping[str, Float[Tensor, "word d_model"]]) -> None:
    """Adds "inputs" and "outputs" of new words to a language model, in place."""
    inner = decoder.model
    embeddings = torch.cat([inner.embed_tokens.weight, rows["inputs"].float()])
    outputs = torch.cat([decoder.lm_head.weight, rows["outputs"].float()])
    n, width = embeddings.shape
    inner.embed_tokens = nn.Embedding(n, width, inner.padding_idx, _weight=embeddings)
    decoder.lm_head = nn.Linear(width, n, bias=False)
    decoder.lm_head.weight.copy_(outputs)
    decoder.config.vocab_size = inner.vocab_size = decoder.vocab_size = n
