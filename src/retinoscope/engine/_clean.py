"""The clean pass, and the quantities that later computations read from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache

from ..errors import CapabilityError
from ..models import Adapter, Inputs, ModelState, entering
from ._block_inputs import BlockInputs, block_inputs
from ._edges import Edges, read_edges
from ._forward import Trace, forward, keys_and_values, new_cache

_ROUNDING = {torch.float32: 1e-4, torch.float64: 1e-9}
"""Tolerance between passes over different parts, relative to the largest number; else 2e-2."""


@dataclass(eq=False)
class Clean:
    """One prompt's forward pass without interventions.

    Attributes:
        adapter: the model's adapter.
        inputs: the prompt.
        embeddings: (n, d_model) the decoder's input.
        logits: (vocab,) float32 logits of the last position.
        hidden: layers + 1 tensors (1, n, d_model) before the final norm.
        cache: the keys and values of every block, with a batch of 1.
        state: the model's state in that pass.
        shared: number of leading positions taken from another pass.
        in_tuples: whether the decoder takes a block's output out of a tuple.
    """

    adapter: Adapter
    inputs: Inputs
    embeddings: Float[Tensor, "token d_model"]
    logits: Float[Tensor, " vocab"]
    hidden: list[Float[Tensor, "1 token d_model"]]
    cache: DynamicCache
    state: ModelState
    shared: int = 0
    in_tuples: bool = False
    _block_inputs: BlockInputs | None = None
    _step: tuple[BlockInputs, int] | None = None
    _alike: dict[ModelState, bool] = field(default_factory=dict)
    _edges: dict[int, Edges] = field(default_factory=dict)
    _taken: dict[str, tuple[Any, Tensor, Any]] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Number of positions."""
        return len(self.embeddings)

    @property
    def device(self) -> torch.device:
        return self.embeddings.device

    @property
    def image_end(self) -> int:
        """The first position after all images; 0 without an image."""
        return max((positions[-1] + 1 for positions in self.inputs.image_positions), default=0)

    def states(self, layer: int) -> Float[Tensor, "token d_model"]:
        """Residual stream; layer 0 is the first block's input, L the output of the last block."""
        return self.hidden[layer][0]

    def keys_and_values(
        self, layer: int
    ) -> tuple[Float[Tensor, "kv_head key d_head"], Float[Tensor, "kv_head key d_head"]]:
        """Returns keys and values of one block, as its attention reads them.

        Raises:
            CapabilityError: the layer keeps none.
        """
        keys, values = keys_and_values(self.cache, layer)
        return keys[0], values[0]

    @property
    def key_width(self) -> int:
        """Number of values in one position's key, in a block that keeps keys."""
        held = (getattr(layer, "keys", None) for layer in self.cache.layers)
        return next((keys[0, :, 0].numel() for keys in held if isinstance(keys, Tensor)), 0)

    def alike_under(self, state: ModelState) -> bool:
        """Whether the pass gives the same results under the hooks that are on the model now.

        The first call for these hooks costs one more pass. A hook that only reads changes no bit;
        after a pass over some of the positions, rounding may differ.
        """
        if state not in self._alike:
            with entering(self.adapter.model):
                again = clean_pass(self.adapter, self.inputs, self.embeddings, state=state)
            pairs = zip([*self.hidden, self.logits], [*again.hidden, again.logits], strict=True)
            limit = _ROUNDING.get(self.embeddings.dtype, 2e-2) if self.shared else 0
            self._alike[state] = all(
                float((one - other).abs().max()) <= limit * float(one.abs().max())
                for one, other in pairs
            )
        return self._alike[state]

    # Arguments other than the hidden states

    def reserve(self, n: int) -> None:
        """Makes `arguments` and `edges` cover positions up to `n`, which may be after the prompt.

        Where rotary angles depend on the length, `arguments` computes those after the prompt.
        """
        if self._block_inputs is not None and self._block_inputs.hidden.shape[1] >= n:
            return
        more = torch.zeros(n - self.n, self.embeddings.shape[1]).to(self.embeddings)
        embeds = torch.cat([self.embeddings, more])[None]
        self._block_inputs = self._entering(embeds, 0, n)
        self._edges.clear()

    def arguments(self, layer: int, rows: Int[Tensor, " row"]) -> dict[str, Any]:
        """Returns a block's arguments at these positions besides hidden states, cache and mask.

        Raises:
            CapabilityError: a tensor is not known to belong to positions.
        """
        per_block, first = self._inputs_at(rows)
        return {
            name: self._at(name, value, rows, first)
            for name, value in per_block.arguments[layer].items()
            if name != "attention_mask" and value is not None
        }

    def _inputs_at(self, rows: Int[Tensor, " row"]) -> tuple[BlockInputs, int]:
        """Returns block inputs that cover these positions, and their first position."""
        if self.adapter.length_rule:
            position = int(rows[-1])
            return (self._prompt_alone, 0) if position < self.n else self._after_prompt(position)
        self.reserve(self.n)
        assert self._block_inputs is not None
        return self._block_inputs, 0

    @cached_property
    def _prompt_alone(self) -> BlockInputs:
        return block_inputs(
            self.adapter, self.embeddings[None], self.adapter.arguments(self.inputs, 0, self.n)
        )

    def _after_prompt(self, position: int) -> tuple[BlockInputs, int]:
        """Inputs at one position after the prompt, as generation calls the decoder."""
        if self._step is None or self._step[1] != position:
            arguments = self.adapter.arguments(self.inputs, position, position + 1)
            embeds = self.embeddings[None, :1]
            self._step = block_inputs(self.adapter, embeds, arguments, start=position), position
        return self._step

    def _at(self, name: str, value: Any, rows: Int[Tensor, " row"], first: int) -> Any:
        # Most blocks receive the same arguments, for the same rows.
        last = self._taken.get(name)
        if last is None or last[0] is not value or last[1] is not rows:
            last = self._taken[name] = (
                value,
                rows,
                _at(name, value, rows - first if first else rows),
            )
        return last[2]

    @cached_property
    def added(self) -> tuple[Float[Tensor, "token d_model"], ...]:
        """What the decoder adds after each of its first blocks; see `Inputs.added`."""
        return self.inputs.added()

    def edges(self, layer: int) -> Edges:
        """Returns the edges that the block's own mask allows."""
        self.reserve(self.n)
        assert self._block_inputs is not None
        mask = self._block_inputs.arguments[layer].get("attention_mask")
        # One mask serves all blocks, or all of one kind, so it is read once.
        name = 0 if mask is None else id(mask)
        if name not in self._edges:
            self._edges[name] = read_edges(mask)
        return self._edges[name]

    def closed(self, stop: int) -> bool:
        """Whether no position before `stop` reads one at or after it, in any block."""
        layers = range(self.adapter.n_layers)
        return all(self.edges(layer).first_reader(stop) >= stop for layer in layers)

    def entering(
        self, embeddings: Float[Tensor, "token d_model"], positions: Int[Tensor, " token"]
    ) -> Float[Tensor, "token d_model"]:
        """Returns the first block's input at `positions` with these embeddings there."""
        if self._enters_unchanged:
            return embeddings
        embeds = self.embeddings.clone()
        embeds[positions] = embeddings
        return self._entering(embeds[None], 0, self.n).hidden[0, positions]

    def entering_next(
        self, embeddings: Float[Tensor, "batch d_model"], position: int
    ) -> Float[Tensor, "batch d_model"]:
        """As `entering`, for several tokens at one position after the prompt."""
        if self._enters_unchanged:
            return embeddings
        return self._entering(embeddings[:, None], position, position + 1).hidden[:, 0]

    def _entering(
        self, embeds: Float[Tensor, "batch token d_model"], start: int, stop: int
    ) -> BlockInputs:
        arguments = self.adapter.arguments(self.inputs, start, stop)
        return block_inputs(self.adapter, embeds, arguments, start, self.in_tuples)

    @cached_property
    def _enters_unchanged(self) -> bool:
        return torch.equal(self.states(0), self.embeddings)


def clean_pass(
    adapter: Adapter,
    inputs: Inputs,
    embeddings: Float[Tensor, "token d_model"],
    prefix: tuple[Clean, int] | None = None,
    state: ModelState | None = None,
) -> Clean:
    """Runs the decoder once over `embeddings`.

    Args:
        adapter: the model's adapter.
        inputs: the prompt.
        embeddings: the decoder's input.
        prefix: a pass with the same beginning, and how many positions are taken from it.
        state: the model's state, if it has just been read.
    """
    state = state or adapter.state()
    trace, cache = Trace(), new_cache(adapter)
    clean, start = prefix or (None, 0)
    if clean is not None:
        for layer in range(adapter.n_layers):
            keys, values = keys_and_values(clean.cache, layer)
            cache.update(keys[:, :, :start], values[:, :, :start], layer)
    arguments = adapter.arguments(inputs, start, len(embeddings))
    logits = forward(adapter, embeddings[None, start:], arguments, cache=cache, trace=trace)
    if clean is not None:
        trace.hidden = [
            torch.cat([clean.hidden[layer][:, :start], hidden], 1)
            for layer, hidden in enumerate(trace.hidden)
        ]
    adapter.watch.settle()
    return Clean(
        adapter,
        inputs,
        embeddings,
        logits[0],
        trace.hidden,
        cache,
        state,
        start,
        in_tuples=trace.in_tuples,
    )


def common_start(inputs: Sequence[Inputs]) -> int:
    """Returns how many leading positions several prompts share and can take from one pass.

    0 if they differ before the end of an image: image tokens may read each other in both
    directions. At least one position of each prompt is not shared.
    """
    first = inputs[0]
    shared = min(len(prompt.input_ids) for prompt in inputs) - 1
    for other in inputs[1:]:
        # Compare identity, not values: an image is encoded once and is one object.
        if list(map(id, other.encoded)) != list(map(id, first.encoded)):
            return 0
        same = other.input_ids[:shared] == first.input_ids[:shared]
        shared = int(same.long().cumprod(0).sum())
    ends = [positions[-1] + 1 for prompt in inputs for positions in prompt.image_positions]
    return shared if shared >= max(ends, default=0) else 0


def _at(name: str, value: Any, rows: Int[Tensor, " row"]) -> Any:
    """Returns a block's argument at some positions."""
    if name == "position_embeddings":
        return tuple(part.index_select(-2, rows.to(part.device)) for part in value)
    if name in ("position_ids", "cache_position"):
        return value.index_select(-1, rows.to(value.device))
    if isinstance(value, Tensor):
        raise CapabilityError(
            f"the blocks of this model receive a tensor {name!r} that is not known to belong to "
            "positions: its counterfactuals go through the reference path"
        )
    return value
