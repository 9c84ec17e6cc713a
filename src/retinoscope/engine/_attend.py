"""Attention of recomputed rows over keys that lie in several places.

A condition's keys are the clean run's, held once for all conditions, beside its own: those that it
computed in earlier passes, and those of the rows at hand. Each part is attended to by itself, the
clean one as one matrix product with the rows of all conditions stacked, and the parts are joined by
their log-sum-exp, which gives what one softmax over all of them gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ..errors import CapabilityError
from ..models import attending

Allow = Bool[Tensor, "batch head row key"] | Literal["causal"] | None


@dataclass(frozen=True, eq=False)
class Part:
    """Keys and values in one place, and which rows may read them.

    Attributes:
        keys, values: (kv_head, key, d_head) where all conditions share them, else with a leading
            batch axis.
        allow: (batch or 1, head or 1, row, key); "causal" for the rows' own keys; None for all.
    """

    keys: Tensor
    values: Tensor
    allow: Allow = None


@dataclass(frozen=True, eq=False)
class Pieces:
    """Parts of some of a group's conditions each: disjoint, so that they are joined as one.

    Attributes:
        parts: with the places of their conditions in the group.
    """

    parts: Sequence[tuple[Int[Tensor, " condition"], Part]]


@dataclass(eq=False)
class Group:
    """Conditions with the same rows: a stretch of the packed batch.

    Attributes:
        where: their rows there, condition by condition.
        size: number of conditions.
        parts: what the rows read beside the keys that the block makes of them.
        allow: which of those they read.
        own: the keys and values that the block made, (batch, kv_head, row, d_head), once it has.
    """

    where: slice
    size: int
    parts: Sequence[Part | Pieces]
    allow: Allow
    own: tuple[Tensor, Tensor] | None = None


class KeysMade(Exception):
    """Stops a block once its keys and values are there."""


@dataclass(eq=False)
class Reading:
    """The packed batch of one block.

    Attributes:
        groups: in the order of the batch.
        keys_only: stop with `KeysMade` once every group has its own keys.
        read_own: whether the rows read the keys made of them; False where `parts` name them.
    """

    groups: Sequence[Group]
    keys_only: bool = False
    read_own: bool = True


@contextmanager
def reading(config: Any, batch: Reading) -> Iterator[None]:
    """The decoder with this `config` attends as `batch` says; its own way is back afterwards."""
    with attending(config, partial(_attention, batch)):
        yield


def _attention(
    batch: Reading,
    module: nn.Module,
    query: Float[Tensor, "1 head packed d_head"],
    key: Float[Tensor, "1 kv_head packed d_head"],
    value: Float[Tensor, "1 kv_head packed d_head"],
    attention_mask: Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    if s_aux is not None:
        raise CapabilityError("attention sinks are not known to the incremental path")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    for group in batch.groups:
        group.own = (_unpacked(key, group), _unpacked(value, group))
    if batch.keys_only:
        raise KeysMade
    out = query.new_empty(1, query.shape[2], query.shape[1], value.shape[-1])
    for group in batch.groups:
        parts = list(group.parts)
        if batch.read_own:
            assert group.own is not None
            parts.append(Part(*group.own, group.allow))
        rows = _joined([_attend(_unpacked(query, group), part, scale, softcap) for part in parts])
        out[0, group.where] = rows.transpose(1, 2).flatten(0, 1).to(out.dtype)
    return out, None


def _unpacked(
    packed: Float[Tensor, "1 head packed d_head"], group: Group
) -> Float[Tensor, "batch head row d_head"]:
    return packed[0, :, group.where].unflatten(1, (group.size, -1)).transpose(0, 1)


_Attended = tuple[Float[Tensor, "batch head row d_head"], Float[Tensor, "batch head row"]]


def _joined(parts: Sequence[_Attended]) -> Float[Tensor, "batch head row d_head"]:
    """One softmax over the keys of all parts, from each part's output and log-sum-exp."""
    if len(parts) == 1:
        return parts[0][0]
    sums = torch.stack([lse for _, lse in parts])
    shares = (sums - sums.logsumexp(0)).exp()
    total = torch.zeros_like(parts[0][0], dtype=torch.float32)
    for (out, _), share in zip(parts, shares, strict=True):
        total.addcmul_(out.float(), share[..., None])
    return total


def _attend(
    query: Float[Tensor, "batch head row d_head"],
    part: Part | Pieces,
    scale: float,
    softcap: float | None,
) -> _Attended:
    """Output and log-sum-exp of one part; zeros and -inf for a row that reads none of it."""
    if isinstance(part, Pieces):
        width = part.parts[0][1].values.shape[-1]
        out = query.new_zeros(*query.shape[:3], width)
        sums = query.new_full(query.shape[:3], -torch.inf, dtype=torch.float32)
        for where, piece in part.parts:
            out[where], sums[where] = _attend(query[where], piece, scale, softcap)
        return out, sums
    if not isinstance(part.allow, Tensor) and not softcap and _fusible(query):
        return _fused(query, part, scale)
    batch, heads, rows, _ = query.shape
    kv_heads, width = part.keys.shape[-3], part.values.shape[-1]
    # (kv_head, batch, head of the group, row, d_head)
    grouped = query.unflatten(1, (kv_heads, -1)).transpose(0, 1)
    keys, values = part.keys, part.values
    if keys.ndim == 3:
        stacked = grouped.flatten(1, 3)
    else:
        keys, values = keys.transpose(0, 1), values.transpose(0, 1)
        stacked = grouped.flatten(2, 3)
    scores = (stacked @ keys.transpose(-1, -2)).float() * scale
    if softcap:
        scores = torch.tanh(scores / softcap) * softcap
    scores = scores.view(kv_heads, batch, heads // kv_heads, rows, -1)
    allow = _causal(query, keys) if part.allow == "causal" else part.allow
    if isinstance(allow, Tensor):
        split = (1, 1) if allow.shape[1] == 1 else (kv_heads, -1)
        scores = scores.masked_fill(~allow.unflatten(1, split).transpose(0, 1), -torch.inf)
    sums = scores.logsumexp(-1)
    # A row without any key here has no weights: exp(-inf - -inf) would be no number.
    weights = (scores - sums.nan_to_num(neginf=0.0)[..., None]).exp_().to(values.dtype)
    mixed = weights.view(*stacked.shape[:-1], -1) @ values
    out = mixed.view(kv_heads, batch, heads // kv_heads, rows, width)
    return out.transpose(0, 1).flatten(1, 2), sums.transpose(0, 1).flatten(1, 2)


def _causal(query: Tensor, keys: Tensor) -> Bool[Tensor, "1 1 row key"]:
    square = torch.ones(query.shape[2], keys.shape[-2], dtype=torch.bool, device=query.device)
    return square.tril()[None, None]


_FEW_ROWS = 8
"""Below so many rows the scores are small, and cheaper than the copies of keys that a kernel
without grouped heads needs."""


def _fusible(query: Tensor) -> bool:
    return (
        query.device.type == "cpu"
        and query.shape[2] >= _FEW_ROWS
        and hasattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu")
    )


def _fused(query: Float[Tensor, "batch head row d_head"], part: Part, scale: float) -> _Attended:
    """The same by torch's own kernel, which never holds the scores but returns their sums."""
    batch, heads, rows, _ = query.shape
    keys, values = part.keys, part.values
    shared = keys.ndim == 3
    if shared:
        keys, values = keys[None], values[None]
        query = query.transpose(0, 1).flatten(1, 2)[None]
    copies = heads // keys.shape[1]
    out, sums = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query,
        keys.repeat_interleave(copies, 1) if copies > 1 else keys,
        values.repeat_interleave(copies, 1) if copies > 1 else values,
        0.0,
        part.allow == "causal",
        attn_mask=None,
        scale=scale,
    )
    if shared:
        out = out[0].unflatten(1, (batch, rows)).transpose(0, 1)
        sums = sums[0].unflatten(1, (batch, rows)).transpose(0, 1)
    return out, sums
