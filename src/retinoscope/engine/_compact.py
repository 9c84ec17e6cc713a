"""A cache that holds only some of a prompt's positions, and answers generated from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache

from ..arguments import checked, wholes
from ..errors import CapabilityError, InputError
from ..models import Adapter, Inputs, in_turn
from ..tokens import Position
from ._clean import Clean
from ._forward import forward, keys_and_values, new_cache
from ._generate import Generation, continue_greedily
from ._greedy import greedy
from ._vlm import Run


@dataclass(frozen=True, eq=False)
class CompactContext:
    """Keys and values of some of a run's positions. Made by `compact_context`.

    Attributes:
        run: the run.
        kept: for each block the positions that are kept, ascending.
        n_bytes: the size of their keys and values.
    """

    run: Run
    kept: tuple[tuple[int, ...], ...]
    n_bytes: int
    _cache: DynamicCache = field(repr=False)

    @in_turn(lambda self: self.run.vlm.model)
    @torch.no_grad()
    def answer(
        self, question: Run, max_new_tokens: int = 64, *, keep_logits: bool = False
    ) -> Generation[Run]:
        """Goes on greedily from the context and the rest of `question`'s prompt.

        Kept tokens stay at their positions, and the rest of the prompt has those of `question`. The
        context can be used again.

        Args:
            question: a run whose prompt starts with this context's prompt and continues it.
            max_new_tokens: maximum length of the answer.
            keep_logits: keep the logits of every step.

        Raises:
            InputError: the prompt does not start with the context's, ends with it or has other
                images; or the model has changed since either run was made.
            CapabilityError: the model's keys depend on the length of the text, and the question is
                past the length at which they change.
        """
        rule = greedy(question, max_new_tokens)
        n = self.run.n
        ids = question.inputs.input_ids
        if question.n <= n or not torch.equal(ids[:n], self.run.inputs.input_ids):
            raise InputError(
                f"expected a prompt that starts with the {n} positions of this context and "
                f"continues, got one of {question.n} positions"
            )
        if not _same_pixels(question.inputs, self.run.inputs):
            raise InputError("expected a prompt with the images of this context, got others")
        angles, longer = (run.adapter.angles(run.inputs, run.n) for run in (self.run, question))
        if angles != longer:
            raise CapabilityError(
                f"a text of {question.n} positions has other rotary angles than one of {n} in this "
                f"model (they change past {self.run.adapter.length_rule.original}), so their "
                "keys differ: ask a shorter question, or hide tokens with Knockout instead"
            )
        self.run.require_current()
        question.require_current()
        steps = _CompactSteps(question.adapter, question.inputs, self._copy(), n)
        logits = steps.read(question.embeddings[None, n:])
        return continue_greedily(question, logits, steps, rule, max_new_tokens, keep_logits)[0]

    def _copy(self) -> DynamicCache:
        cache = new_cache(self.run.adapter)
        for layer in range(self.run.adapter.n_layers):
            cache.update(*keys_and_values(self._cache, layer), layer)
        return cache


class _CompactSteps:
    """As `PlainSteps`, over a cache shorter than the number of positions it represents."""

    def __init__(self, adapter: Adapter, inputs: Inputs, cache: DynamicCache, start: int) -> None:
        self._adapter, self._inputs, self._cache, self._next = adapter, inputs, cache, start

    def read(self, embeds: Float[Tensor, "batch token d_model"]) -> Float[Tensor, "batch vocab"]:
        """Returns float32 logits after these embeddings."""
        start, self._next = self._next, self._next + embeds.shape[1]
        arguments: dict[str, Any] = self._adapter.arguments(self._inputs, start, self._next)
        if "position_ids" not in arguments:
            # The library would otherwise count from the cache's length.
            positions = torch.arange(start, self._next, device=embeds.device)
            arguments["position_ids"] = positions[None]
        return forward(self._adapter, embeds, arguments, cache=self._cache)

    def next(self, tokens: Int[Tensor, " batch"]) -> Float[Tensor, "batch vocab"]:
        return self.read(self._adapter.embedding(tokens.to(self._adapter.device))[:, None])

    def keep(self, indices: Sequence[int]) -> None:
        self._cache.batch_select_indices(torch.tensor(indices, device=self._adapter.device))


@in_turn(lambda run: run.vlm.model)
@torch.no_grad()
def compact_context(run: Run, kept: Sequence[Sequence[int]]) -> CompactContext:
    """Returns the context of a run with only some of its positions, chosen block by block.

    Args:
        run: the run.
        kept: for each block the positions whose keys and values are kept.

    Raises:
        InputError: `kept` has another number of blocks, a block without positions, or a position
            that does not exist.
        CapabilityError: not all blocks of the model attend causally to everything before, so a
            shorter cache would shift what its masks count.

    Source: Kaduri et al. 2024 (arXiv 2411.17491).
    """
    run.require_current()
    adapter, clean = run.adapter, run._clean
    if len(kept) != adapter.n_layers:
        raise InputError(
            f"expected the kept positions of {adapter.n_layers} blocks, got those of {len(kept)}"
        )
    what = "positions to keep in block"
    chosen = tuple(
        tuple(sorted(set(wholes(positions, f"{what} {layer}", 0, run.n - 1, Position))))
        for layer, positions in enumerate(kept)
    )
    if not all(chosen):
        raise InputError(
            f"expected positions from 0 to {run.n - 1} to keep in block {chosen.index(())}, got "
            "none"
        )
    _refuse_masks(clean, run)
    cache = new_cache(adapter)
    for layer, positions in enumerate(chosen):
        index = torch.tensor(positions, device=clean.device)
        keys, values = clean.keys_and_values(layer)
        cache.update(
            keys[None].index_select(2, index.to(keys.device)),
            values[None].index_select(2, index.to(values.device)),
            layer,
        )
    return CompactContext(run, chosen, context_bytes(run, [len(p) for p in chosen]), cache)


@checked
def context_bytes(run: Run, sizes: Sequence[int]) -> int:
    """Returns the bytes of keys and values with so many positions in each block.

    Raises:
        CapabilityError: a block keeps none.
    """
    total = 0
    for layer, size in enumerate(sizes):
        for tensor in run._clean.keys_and_values(layer):
            total += size * tensor[:, 0].numel() * tensor.element_size()
    return total


def _same_pixels(one: Inputs, other: Inputs) -> bool:
    return len(one.pixels) == len(other.pixels) and all(
        a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
        for a, b in zip(one.pixels, other.pixels, strict=True)
    )


def _refuse_masks(clean: Clean, run: Run) -> None:
    plain = run.vlm.capabilities.supports("incremental")
    if not plain or any(clean.edges(i).allowed is not None for i in range(clean.adapter.n_layers)):
        raise CapabilityError(
            f"{run.vlm.capabilities.architecture}: its blocks do not all attend causally to "
            "everything before, so a cache without some positions is not exact; hide them with "
            "Knockout instead"
        )
