"""The fewest position x block pairs that a set of conditions needs, counted apart from the engine.

A row must be computed in a block if its input changed, if an edge of it is cut there, or if it
reads a key that changed. Of the last block only the last position is read. Rows that two prompts
have in common, under the same condition, count once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ._conditions import Hide, Remove


def of_knockout(condition: Hide, n: int, depth: int) -> int:
    """Of one knockout in a causal decoder of `depth` blocks over `n` positions."""
    total = 0
    first_dirty = n
    dirty: set[int] = set()
    for layer in range(depth):
        # A row behind a changed one reads its changed key.
        rows = set(dirty) | (set(range(first_dirty, n)) if dirty else set())
        if layer in condition.layers:
            rows |= set(condition.target)
        if rows:
            total += len(rows) if layer + 1 < depth else int(n - 1 in rows)
            dirty = rows
            first_dirty = min(rows)
    return total


def of_ablations(
    conditions: Sequence[Remove], ends: Sequence[int], image_end: int, depth: int
) -> int:
    """Of all ablations on prompts of `ends` positions that are the same up to `image_end`."""
    total = 0
    for condition in conditions:
        shared = image_end - condition.positions[0]
        text = sum(end - image_end for end in ends)
        total += (shared + text) * (depth - 1) + len(ends)
    return total


def of_clean(ends: Sequence[int], image_end: int, depth: int) -> int:
    """Of the clean runs, whose rows are all kept: later experiments read them."""
    return (image_end + sum(end - image_end for end in ends)) * depth


@dataclass
class Counted:
    """Position x block pairs that went through the decoder's blocks."""

    token_layers: int = 0


@contextmanager
def counting(blocks: Sequence[nn.Module]) -> Iterator[Counted]:
    """Counts the rows that any code takes through these blocks."""
    counted = Counted()

    def count(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        hidden = given[0] if given else named["hidden_states"]
        assert isinstance(hidden, Tensor)
        counted.token_layers += hidden.shape[0] * hidden.shape[1]

    # The first norm: a block that is skipped, as when only its arguments are read, runs none.
    norms = [block.get_submodule("input_layernorm") for block in blocks]
    handles = [norm.register_forward_pre_hook(count, with_kwargs=True) for norm in norms]
    try:
        yield counted
    finally:
        for handle in handles:
            handle.remove()


def weight_bytes(modules: Sequence[nn.Module]) -> int:
    """Bytes of these modules' parameters."""
    return sum(
        parameter.numel() * parameter.element_size()
        for module in modules
        for parameter in module.parameters()
    )
