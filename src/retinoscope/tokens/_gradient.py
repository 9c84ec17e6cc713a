"""Gradients of an output with respect to the visual tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import Cache, DynamicCache

from ..arguments import whole
from ..errors import CapabilityError, InputError
from ..models import Adapter, entering, finite, in_turn, not_finite
from ._choose import visual
from ._prefix import RunWithStates, backward_cost, close, expanded, fixed_prefix

Read = Callable[[Float[Tensor, "batch row d_model"]], Float[Tensor, " batch"]]
"""Computes a number from the states of some positions after the final norm."""


class Slopes(NamedTuple):
    """Output values and their gradients.

    Attributes:
        values: (batch,) float32.
        gradients: (batch, n, d_model) with respect to the visual embeddings.
    """

    values: Float[Tensor, " batch"]
    gradients: Float[Tensor, "batch token d_model"]


class EmbeddingGradient:
    """Gradient of a number read from the last states with respect to a run's visual embeddings.

    Parameters get no gradients. What precedes the first visual token is computed once.

    Attributes:
        run: the run, whose other embeddings stay as they are.
        rows: the positions that are read.
        places: the positions of all images' visual tokens, or those that were asked for.
        embeddings: (n, d_model) the run's embeddings there.
        here: value and gradient there, a batch of 1.
    """

    def __init__(
        self,
        run: RunWithStates,
        rows: tuple[int, ...],
        read: Read,
        places: tuple[int, ...] | None = None,
    ) -> None:
        """Runs one forward and one backward pass, at the run's embeddings.

        Raises:
            InputError: a run without an image.
            CapabilityError: the model does not support gradients, or its decoder called directly
                does not reproduce the run's states.
        """
        run.adapter.capabilities().require("gradients")
        visual(run)
        run.require_current()
        self.run = run
        self.rows = rows
        images = tuple(position for image in run.images for position in image.positions)
        self.places = images if places is None else places
        self._read = read
        self._n = len(run.embeddings)
        self._index = torch.tensor(self.places, device=run.embeddings.device)
        self.embeddings: Float[Tensor, "token d_model"] = run.embeddings[self._index]
        with entering(run.adapter.model):
            self._prefix = fixed_prefix(run, min(self.places))
            self.here = self._at_the_run()

    @in_turn(lambda self: self.run.adapter.model)
    def at(self, embeddings: Float[Tensor, "batch token d_model"]) -> Slopes:
        """Evaluates other visual embeddings, as one batch through the decoder.

        Raises:
            InputError: the model changed since the run was made.
        """
        self.run.require_current()
        return self._pass(embeddings, self._prefix)[0]

    @property
    def cost(self) -> int:
        """An upper bound on the bytes that one item of a batch keeps for the backward pass."""
        return backward_cost(self.run.adapter, self._n - self._start(self._prefix), self._n)

    def _at_the_run(self) -> Slopes:
        """The gradients are the run's only if the pass reproduces the run's last states."""
        with torch.no_grad():
            states = self.run.hidden(self.run.adapter.n_layers)
            wanted = self.run.adapter.decoder.final_norm(states[list(self.rows)])
        slopes, last = self._pass(self.embeddings[None], self._prefix)
        if self._prefix is not None and not close(last[0], wanted):
            # Some decoders accept the mask of image tokens only without a cache.
            self._prefix = None
            slopes, last = self._pass(self.embeddings[None], None)
        if close(last[0], wanted):
            return slopes
        raise CapabilityError(
            f"{type(self.run.adapter.model).__name__}: the decoder called with the run's input "
            "does not reproduce the run's states, so its gradients would belong to another "
            "function: this family needs its own adapter"
        )

    def _pass(
        self, embeddings: Float[Tensor, "batch token d_model"], prefix: DynamicCache | None
    ) -> tuple[Slopes, Float[Tensor, "batch row d_model"]]:
        """Also returns the states that are read, after the final norm."""
        run, adapter, first = self.run, self.run.adapter, self._start(prefix)
        with frozen(adapter.model), torch.enable_grad():
            leaf = embeddings.detach().requires_grad_(True)
            rest = run.embeddings[first:].expand(len(leaf), -1, -1)
            embeds = rest.index_copy(1, self._index - first, leaf)
            cache = None if prefix is None else expanded(prefix, len(leaf))
            arguments = adapter.arguments(run.inputs, first, self._n)
            done = adapter.decode(embeds, cache, **arguments)
            last = done[:, [row - first for row in self.rows]]
            values = self._read(last)
            (gradients,) = torch.autograd.grad(values.sum(), leaf)
        check_gradients(adapter.model, values.detach(), gradients)
        return Slopes(values.detach(), gradients), last.detach()

    def _start(self, prefix: Cache | None) -> int:
        return 0 if prefix is None else prefix.get_seq_length()


class LogitGradient(EmbeddingGradient):
    """Gradient of a logit of the last position, or of the difference of two.

    Only the requested rows of the vocabulary are computed.

    Attributes:
        target, versus: token ids; `versus` is None, or the token whose logit is subtracted.
    """

    def __init__(
        self,
        run: RunWithStates,
        target: str | int,
        versus: str | int | None = None,
        places: tuple[int, ...] | None = None,
    ) -> None:
        """Runs one forward and one backward pass, at the run's embeddings.

        Raises:
            InputError: an unknown word, no such token id, the same token twice, or a run without an
                image.
            CapabilityError: see `EmbeddingGradient`.
        """
        run.adapter.capabilities().require("gradients")
        visual(run)
        self.target = _token(run, target)
        self.versus = None if versus is None else _token(run, versus)
        if self.versus == self.target:
            raise InputError(f"expected two different tokens, got {self.target} twice")
        super().__init__(run, (len(run.embeddings) - 1,), self._logits, places)

    def _logits(self, normed: Float[Tensor, "batch 1 d_model"]) -> Float[Tensor, " batch"]:
        ids = [self.target] if self.versus is None else [self.target, self.versus]
        logits = logits_of(self.run.adapter, normed[:, 0], ids)
        return logits[:, 0] if self.versus is None else logits[:, 0] - logits[:, 1]


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Switches off gradients of the parameters of `model` within the block."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


def check_gradients(model: nn.Module, *tensors: Tensor) -> None:
    """Raises `NonFiniteError` unless values and gradients are finite."""
    if not all(map(finite, tensors)):
        raise not_finite(model, "a score or its gradients")


def _token(run: RunWithStates, word: str | int) -> int:
    if isinstance(word, str):
        return likely_pieces(run, word)[0]
    return whole(word, "words or token ids", 0, run.adapter.vocab_size - 1)


def likely_pieces(run: RunWithStates, word: str) -> tuple[int, ...]:
    """Ids of the pieces of `word` after the run's last position.

    If the tokenizer can spell it in two ways there, the spelling whose first piece has the larger
    logit.

    Raises:
        InputError: the tokenizer does not know the word.
    """
    vocabulary = run.adapter.vocabulary
    ways = vocabulary.spellings(word, vocabulary.ending(run.inputs.input_ids.tolist()))
    if len(ways) == 1:
        return ways[0]
    return max(ways, key=lambda ids: float(run.logits[ids[0]]))


def logits_of(
    adapter: Adapter, normed: Float[Tensor, "... d_model"], ids: list[int]
) -> Float[Tensor, "... chosen"]:
    """float32 logits of some tokens. A custom unembedding or head computes all and selects."""
    head = adapter.unembedding
    custom = type(adapter).unembed is not Adapter.unembed
    if custom or type(head) is not nn.Linear or "forward" in vars(head):
        return adapter.unembed(normed)[..., ids]
    bias = None if head.bias is None else head.bias[ids]
    logits = nn.functional.linear(normed.to(head.weight.dtype), head.weight[ids], bias).float()
    cap = adapter.soft_cap
    return logits if cap is None else torch.tanh(logits / cap) * cap
