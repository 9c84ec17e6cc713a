"""What states are scored against: the tokens of a vocabulary, by the model's head or by embedding.

A head scores some of its entries at a time, so that a readout can go through them in tiles.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..models import Adapter

Unit = Literal["probability", "similarity"]
"""What a lens tells of a word: its softmax probability, or a cosine from -1 to 1."""


class Head(ABC):
    """Scores of states for entries, numbered from 0."""

    unit: ClassVar[Unit]

    def __init__(self, adapter: Adapter) -> None:
        self.adapter = adapter

    @property
    @abstractmethod
    def modules(self) -> tuple[nn.Module, ...]:
        """The model's modules that it computes with."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of entries."""

    @property
    def sliceable(self) -> bool:
        """Whether a part of the entries can be scored alone, at a part of the cost."""
        return True

    @abstractmethod
    def normed(self, rows: Float[Tensor, "row d_model"]) -> Float[Tensor, "row width"]:
        """Prepares states for `scores`."""

    @abstractmethod
    def scores(
        self, normed: Float[Tensor, "row width"], entries: slice | Tensor
    ) -> Float[Tensor, "row entry"]:
        """Computes float32 scores, which the caller may overwrite.

        Args:
            normed: states after `normed`.
            entries: a slice of the entries, or some of their numbers.
        """


class VocabularyHead(Head):
    """The model's final norm and unembedding: scores are float32 logits, equal to the model's."""

    unit: ClassVar[Unit] = "probability"

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        return self.adapter.decoder.final_norm, self.adapter.unembedding

    @property
    def size(self) -> int:
        return self.adapter.vocab_size

    @property
    def sliceable(self) -> bool:
        """Whether a part of the head's rows gives that part of the logits.

        True for a plain `nn.Linear`, tied or not. A wrapped head (hooks, a quantised weight, a
        family with its own `unembed`) is correct only for whole rows of logits.
        """
        head = self.adapter.unembedding
        return (
            type(self.adapter).unembed is Adapter.unembed
            and type(head).forward is nn.Linear.forward
            and "forward" not in vars(head)
            and not head._forward_hooks
            and not head._forward_pre_hooks
            and type(head.weight) in (Tensor, nn.Parameter)
            and head.weight.is_floating_point()
        )

    def normed(self, rows: Float[Tensor, "row d_model"]) -> Float[Tensor, "row d_model"]:
        return self.adapter.decoder.final_norm(rows)

    def scores(
        self, normed: Float[Tensor, "row d_model"], entries: slice | Tensor
    ) -> Float[Tensor, "row token"]:
        """Computes logits, soft-capped and rounded to the head's own precision like the model's."""
        if not self.sliceable:
            return self.adapter.unembed(normed)[:, entries]
        head = self.adapter.unembedding
        bias = None if head.bias is None else head.bias[entries]
        logits = F.linear(normed.to(head.weight.dtype), head.weight[entries], bias).float()
        cap = self.adapter.soft_cap
        # In place, since a tile of logits dominates the lens's memory.
        return logits if cap is None else logits.div_(cap).tanh_().mul_(cap)


class EmbeddingHead(Head):
    """The model's input embeddings: scores are cosines, 0 for an embedding of zeros."""

    unit: ClassVar[Unit] = "similarity"

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        return (self.adapter.embedding,)

    @property
    def size(self) -> int:
        """Entries of the embedding that the head knows as well; some tables are padded."""
        return min(len(self.adapter.embedding.weight), self.adapter.vocab_size)

    def normed(self, rows: Float[Tensor, "row d_model"]) -> Float[Tensor, "row d_model"]:
        return F.normalize(rows.float(), dim=-1)

    def scores(
        self, normed: Float[Tensor, "row d_model"], entries: slice | Tensor
    ) -> Float[Tensor, "row token"]:
        products = normed @ self.adapter.embedding.weight[entries].float().T
        return products.mul_(self._inverse_norms[entries])

    @cached_property
    def _inverse_norms(self) -> Float[Tensor, " token"]:
        norms = torch.cat([part.float().norm(dim=-1) for part in self._weight.split(1 << 14)])
        return torch.where(norms > 0, 1 / norms, 0)

    @property
    def _weight(self) -> Float[Tensor, "token d_model"]:
        return self.adapter.embedding.weight
