"""Gradients of what the model answers to the visual tokens."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

from ..arguments import whole
from ..errors import CapabilityError, InputError
from ..models import Adapter, entering, finite, in_turn, not_finite
from ._choose import RunLike, visual


class RunWithStates(RunLike, Protocol):
    """A run whose residual stream can be read, to check that gradients belong to it."""

    @property
    def logits(self) -> Float[Tensor, " vocab"]: ...
    def hidden(self, layer: int) -> Float[Tensor, "token d_model"]: ...


Read = Callable[[Float[Tensor, "batch row d_model"]], Float[Tensor, " batch"]]
"""Makes a number of the states of some positions after the final norm."""

_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3}
"""Of the largest number: what two batch shapes of one pass may differ by; 5e-2 below float32."""


class Slopes(NamedTuple):
    """Values that are read, and their gradients.

    Attributes:
        values: (batch,) float32.
        gradients: (batch, n, d_model) to the visual embeddings.
    """

    values: Float[Tensor, " batch"]
    gradients: Float[Tensor, "batch token d_model"]


class EmbeddingGradient:
    """A number read from the last states of some positions, by the n visual embeddings of a run.

    The parameters get no gradients. What lies before the first visual token is computed once.

    Attributes:
        run: whose other embeddings stay as they are.
        rows: the positions that are read.
        places: the positions of the visual tokens of all images, or those that were asked for.
        embeddings: (n, d_model) the run's own there.
        here: value and gradient there, a batch of 1.
    """

    def __init__(
        self,
        run: RunWithStates,
        rows: tuple[int, ...],
        read: Read,
        places: tuple[int, ...] | None = None,
    ) -> None:
        """One forward and one backward pass, at the run's own embeddings.

        Raises:
            InputError: a run without an image.
            CapabilityError: the model does not allow gradients, or its decoder called by itself
                does not give the run's states.
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
            self._prefix = self._fixed_prefix()
            self.here = self._at_the_run()

    @in_turn(lambda self: self.run.adapter.model)
    def at(self, embeddings: Float[Tensor, "batch token d_model"]) -> Slopes:
        """At other visual embeddings; one batch through the decoder.

        Raises:
            InputError: the model changed since the run was made.
        """
        self.run.require_current()
        return self._pass(embeddings, self._prefix)[0]

    @property
    def cost(self) -> int:
        """An upper bound of the bytes that a row of a batch takes, kept for the backward pass."""
        adapter, rows = self.run.adapter, self._n - self._start(self._prefix)
        inner = int(getattr(adapter.text_config, "intermediate_size", 0) or 4 * adapter.d_model)
        numbers = 16 * adapter.d_model + 5 * inner
        if adapter.attention_implementation == "eager":
            numbers += 3 * adapter.n_heads * self._n
        return adapter.n_layers * rows * numbers * 4

    def _at_the_run(self) -> Slopes:
        """Only a pass that gives the run's own last states has the run's gradients."""
        with torch.no_grad():
            states = self.run.hidden(self.run.adapter.n_layers)
            wanted = self.run.adapter.decoder.final_norm(states[list(self.rows)])
        found, last = self._pass(self.embeddings[None], self._prefix)
        if self._prefix is not None and not close(last[0], wanted):
            # Some decoders take what says which tokens are an image only without a cache.
            self._prefix = None
            found, last = self._pass(self.embeddings[None], None)
        if close(last[0], wanted):
            return found
        raise CapabilityError(
            f"{type(self.run.adapter.model).__name__}: the decoder called with the run's input "
            "does not give the run's states, so its gradients would be another function's: this "
            "family needs an adapter of its own"
        )

    @torch.no_grad()
    def _fixed_prefix(self) -> DynamicCache | None:
        """Keys and values before the first visual token.

        None where there is nothing before it, where a block keeps something else than keys and
        values, where the text before an image reads the image, and where its keys depend on how
        long the text is.
        """
        adapter, first, inputs = self.run.adapter, min(self.places), self.run.inputs
        if not first or not _attends_everywhere(adapter):
            return None
        if adapter.angles(inputs, first) != adapter.angles(inputs, self._n):
            return None
        cache = DynamicCache()
        arguments = adapter.arguments(self.run.inputs, 0, first)
        alone = adapter.decode(self.run.embeddings[None, :first], cache, **arguments)[0]
        wanted = adapter.decoder.final_norm(self.run.hidden(adapter.n_layers)[:first])
        # Blocks that share keys keep none of their own.
        plain = all(type(one) is DynamicLayer and one.is_initialized for one in cache.layers)
        return cache if plain and close(alone, wanted) else None

    def _pass(
        self, embeddings: Float[Tensor, "batch token d_model"], prefix: DynamicCache | None
    ) -> tuple[Slopes, Float[Tensor, "batch row d_model"]]:
        """Also the states that are read, after the final norm."""
        run, adapter, first = self.run, self.run.adapter, self._start(prefix)
        with frozen(adapter.model), torch.enable_grad():
            leaf = embeddings.detach().requires_grad_(True)
            rest = run.embeddings[first:].expand(len(leaf), -1, -1)
            embeds = rest.index_copy(1, self._index - first, leaf)
            cache = None if prefix is None else _expanded(prefix, len(leaf))
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
    """A logit of the last position, or the difference of two, by the n visual embeddings of a run.

    Of the vocabulary only the rows asked for are read.

    Attributes:
        target, versus: token ids; `versus` is None, or what is taken off the target's logit.
    """

    def __init__(
        self,
        run: RunWithStates,
        target: str | int,
        versus: str | int | None = None,
        places: tuple[int, ...] | None = None,
    ) -> None:
        """One forward and one backward pass, at the run's own embeddings.

        Raises:
            InputError: an unknown word, no such token id, one token twice, or a run without an
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
    """Switches off gradients of the parameters of `model` inside, and restores them afterwards."""
    asking = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in asking:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in asking:
            parameter.requires_grad_(True)


def check_gradients(model: nn.Module, *found: Tensor) -> None:
    """Raises `NonFiniteError` unless values and gradients are finite."""
    if not all(map(finite, found)):
        raise not_finite(model, "a score or its gradients")


def _token(run: RunWithStates, word: str | int) -> int:
    if isinstance(word, str):
        return likely_pieces(run, word)[0]
    return whole(word, "words or token ids", 0, run.adapter.vocab_size - 1)


def likely_pieces(run: RunWithStates, word: str) -> tuple[int, ...]:
    """Ids of the pieces of `word` after the run's last position.

    Where the tokenizer can write it in two ways there, the one whose first piece has the larger
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
    """float32 logits of some tokens. An adapter or a head of its own kind computes all of them."""
    head = adapter.unembedding
    own = type(adapter).unembed is not Adapter.unembed
    if own or type(head) is not nn.Linear or "forward" in vars(head):
        return adapter.unembed(normed)[..., ids]
    bias = None if head.bias is None else head.bias[ids]
    logits = nn.functional.linear(normed.to(head.weight.dtype), head.weight[ids], bias).float()
    cap = adapter.soft_cap
    return logits if cap is None else torch.tanh(logits / cap) * cap


def _attends_everywhere(adapter: Adapter) -> bool:
    try:
        for layer in range(adapter.n_layers):
            adapter.decoder.attention(layer)
    except CapabilityError:
        return False
    return True


def _expanded(prefix: DynamicCache, batch: int) -> DynamicCache:
    """The same keys and values for every row, not copied; the blocks add theirs to this one."""
    cache = copy.copy(prefix)
    cache.layers = [copy.copy(layer) for layer in prefix.layers]
    for layer in cache.layers:
        assert isinstance(layer, DynamicLayer)
        assert layer.keys is not None
        assert layer.values is not None
        layer.keys = layer.keys.expand(batch, -1, -1, -1)
        layer.values = layer.values.expand(batch, -1, -1, -1)
    return cache


def close(found: Tensor, wanted: Tensor) -> bool:
    """Whether two batch shapes of one pass may differ by so much."""
    limit = _TOLERANCE.get(wanted.dtype, 5e-2) * float(wanted.abs().max())
    return float((found - wanted.to(found.device)).abs().max()) <= limit
