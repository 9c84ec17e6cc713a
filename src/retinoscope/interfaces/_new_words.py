"""Further words of a language model: rows at the end of its embeddings and of its head."""

from __future__ import annotations

from collections.abc import Mapping

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

    def embed(
        self, decoder: LlamaForCausalLM, ids: Int[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch d_model"]:
        """The embeddings of known and new words."""
        return F.embedding(ids, torch.cat([decoder.model.embed_tokens.weight, self.inputs]))

    def logits(
        self, decoder: LlamaForCausalLM, hidden: Float[Tensor, "*batch d_model"]
    ) -> Float[Tensor, "*batch word"]:
        """The logits of known and new words."""
        return hidden @ torch.cat([decoder.lm_head.weight, self.outputs]).T


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
