"""The kinds of lens behind `run.lens(kind=...)`, and those that need nothing but the model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from ..models import Adapter
from ..tokens import RunWithStates
from ._head import EmbeddingHead, Head, VocabularyHead
from ._lens import Lens
from ._lens_of import Kernel, lens_of


class Kind(ABC):
    """A way to read states of the residual stream as words.

    Attributes:
        name: its name in results and on the command line.
        identity: what it equals exactly, and where; how to see that it is applied correctly.
    """

    name: ClassVar[str]
    identity: ClassVar[str]

    def layers(self, adapter: Adapter) -> tuple[int, ...]:
        """The layers of a model that it can read, in order."""
        return tuple(range(adapter.n_layers + 1))

    @abstractmethod
    def read(
        self,
        run: RunWithStates,
        positions: Sequence[int],
        layers: Sequence[int],
        top_k: int,
        kernel: Kernel = "torch",
    ) -> Lens:
        """Reads the states at `positions` after `layers`.

        Raises:
            InputError: this lens belongs to another model, or as `lens_of`.
            CapabilityError: the model, or the kernel, does not support it.
        """


class OfStates(Kind):
    """A kind that reads each state by itself: carried to where a head can read it, then scored."""

    def head(self, adapter: Adapter) -> Head:
        """What the carried states are scored against: the model's own head by default."""
        return VocabularyHead(adapter)

    def carried(
        self, adapter: Adapter, layer: int, states: Float[Tensor, "token d_model"]
    ) -> Float[Tensor, "token d_model"]:
        """The states after `layer` as the head takes them; unchanged by default."""
        return states

    @torch.no_grad()
    def read(
        self,
        run: RunWithStates,
        positions: Sequence[int],
        layers: Sequence[int],
        top_k: int,
        kernel: Kernel = "torch",
    ) -> Lens:
        adapter, rows = run.adapter, list(positions)
        carried = [self.carried(adapter, layer, run.hidden(layer)[rows]) for layer in layers]
        return lens_of(
            self.head(adapter),
            torch.stack(carried),
            positions,
            layers,
            top_k,
            kernel=kernel,
            kind=self.name,
        )


class Logit(OfStates):
    """The final norm and the unembedding, applied to the state after each layer.

    Source: nostalgebraist 2020; Neo et al. 2024, section 4.1.
    """

    name = "logit"
    identity = "at the last layer, the model's own next-token distribution"


class Embedding(OfStates):
    """The nearest rows of the input embedding, by cosine: the words on which a state lies.

    Source: by dot product, Dar et al. 2023 (arXiv 2209.02535).
    """

    name = "embedding"
    identity = "at layer 0, a text token is its own nearest word unless positions are added to it"

    def head(self, adapter: Adapter) -> Head:
        return EmbeddingHead(adapter)
