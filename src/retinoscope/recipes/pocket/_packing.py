"""Packs several turns about one image into one sequence.

A sequence is `<s> user : [image slots] turn turn ...`, or has another prefix around the image.
Under the packed mask each turn sees the prefix (with the image) and itself, and every turn starts
at the same position id, so a packed turn is computed exactly as it would be alone, while the image
is processed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

PREFIX = "USER: "
"""The text before the image; `<s>` comes from the tokenizer."""

IGNORED = -100


@dataclass(frozen=True)
class Turn:
    """Token ids of a question and its answer; only the answer (with `</s>`) is learned."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)


@dataclass(frozen=True)
class TokenBatch:
    """A packed batch. `labels[b, t]` is the id to be predicted *at* position t, or `IGNORED`;
    `weights[b, t]` is its weight in the loss."""

    ids: Int[Tensor, "batch token"]
    labels: Int[Tensor, "batch token"]
    weights: Float[Tensor, "batch token"]
    position_ids: Int[Tensor, "batch token"]
    mask: Bool[Tensor, "batch 1 token token"]


@dataclass(frozen=True)
class PackedExamples:
    """Packed examples as arrays (example, token). `segment` is 0 for the prefix, 1, 2, ... for the
    turns and -1 for padding; the rest is as in `TokenBatch`."""

    ids: Int[np.ndarray, "example token"]
    labels: Int[np.ndarray, "example token"]
    weights: Float[np.ndarray, "example token"]
    positions: Int[np.ndarray, "example token"]
    segment: Int[np.ndarray, "example token"]


def pack(
    examples: Sequence[Sequence[Turn]],
    prefix: Sequence[int],
    slots: Int[np.ndarray, "batch slot"],
    text_tokens: int,
    pad: int,
    after: Sequence[int] = (),
) -> TokenBatch:
    """Packs each example's turns after `prefix` and its image slots.

    Turns that do not fit into `text_tokens` are dropped; the caller shuffles them.

    Args:
        examples: the turns of each example.
        prefix: ids before the image.
        slots: ids at the image positions (placeholders, or a map of words).
        text_tokens: number of positions for turns.
        pad: id of the padding token.
        after: ids between the image and every turn.
    """
    rows = lay_out(examples, prefix, slots, text_tokens, pad, after)
    return TokenBatch(
        ids=torch.from_numpy(rows.ids),
        labels=torch.from_numpy(rows.labels),
        weights=torch.from_numpy(rows.weights),
        position_ids=torch.from_numpy(rows.positions),
        mask=mask_of(torch.from_numpy(rows.segment)),
    )


def mask_of(segments: Int[Tensor, "batch token"]) -> Bool[Tensor, "batch 1 token token"]:
    """Returns the attention mask: each turn sees the prefix and itself, causally."""
    same = segments[:, :, None] == segments[:, None, :]
    to_prefix = (segments == 0)[:, None, :] & (segments >= 0)[:, :, None]
    length = segments.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    return ((same | to_prefix) & causal)[:, None]


def lay_out(
    examples: Sequence[Sequence[Turn]],
    prefix: Sequence[int],
    slots: Int[np.ndarray, "batch slot"],
    text_tokens: int,
    pad: int,
    after: Sequence[int] = (),
) -> PackedExamples:
    """Does the work of `pack` in arrays; takes the same arguments."""
    stop_slots = len(prefix) + slots.shape[1]
    n_prefix = stop_slots + len(after)
    length = n_prefix + text_tokens
    ids = np.full((len(examples), length), pad, dtype=np.int64)
    labels = np.full_like(ids, IGNORED)
    weights = np.zeros(ids.shape, dtype=np.float32)
    positions = np.zeros_like(ids)
    segment = np.full_like(ids, -1)
    ids[:, : len(prefix)] = prefix
    ids[:, len(prefix) : stop_slots] = slots
    ids[:, stop_slots:n_prefix] = after
    positions[:, :n_prefix] = np.arange(n_prefix)
    segment[:, :n_prefix] = 0
    for row, turns in enumerate(examples):
        at = n_prefix
        for number, turn in enumerate(turns, start=1):
            stop = at + len(turn)
            if stop > length:
                continue
            ids[row, at:stop] = (*turn.prompt, *turn.answer)
            first = at + len(turn.prompt) - 1
            labels[row, first : stop - 1] = turn.answer
            weights[row, first : stop - 1] = len(turn.answer) ** -0.5
            positions[row, at:stop] = n_prefix + np.arange(len(turn))
            segment[row, at:stop] = number
            at = stop
    return PackedExamples(ids, labels, weights, positions, segment)
