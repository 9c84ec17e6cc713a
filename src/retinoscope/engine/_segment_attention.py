"""Attention of packed rows over keys and values in several segments.

The keys that a recomputed row reads are not in one tensor: those of the clean run are stored once
for all conditions; a condition's own come from an earlier pass; the newest are computed in the
current block. Attention runs over each segment separately, with the rows of all conditions stacked
into one matrix product for the clean one, and the results are combined by their log-sum-exp. This
is exactly one softmax over all keys.
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

Allowed = Bool[Tensor, "batch head row key"] | Literal["causal"] | None
"""Which keys of a segment each row may read; "causal" for the rows' own keys, None for all."""


@dataclass(frozen=True, eq=False)
class KVSegment:
    """Keys and values in one tensor, and which rows may read them.

    Attributes:
        keys, values: (kv_head, key, d_head) if all conditions share them, otherwise with a leading
            batch axis.
        allowed: (batch or 1, head or 1, row, key), or see `Allowed`.
    """

    keys: Tensor
    values: Tensor
    allowed: Allowed = None


@dataclass(frozen=True, eq=False)
class RaggedSegment:
    """Disjoint segments, each for some conditions of a group; together they count as one.

    Attributes:
        segments: each with the indices of its conditions within the group.
    """

    segments: Sequence[tuple[Int[Tensor, " condition"], KVSegment]]


@dataclass(eq=False)
class PackedGroup:
    """Conditions that compute the same rows: a contiguous part of the packed batch.

    Attributes:
        rows: the slice of their rows in the batch, condition by condition.
        n_conditions: number of conditions.
        segments: what the rows read besides the keys computed from them.
        allowed: which of those computed keys they read.
        computed: the keys and values that the block computed from the rows, each
            (batch, kv_head, row, d_head); None before.
    """

    rows: slice
    n_conditions: int
    segments: Sequence[KVSegment | RaggedSegment]
    allowed: Allowed
    computed: tuple[Tensor, Tensor] | None = None


class StopForward(Exception):
    """Stops a block as soon as its keys and values are computed."""


@dataclass(eq=False)
class PackedBatch:
    """The rows that go through one block in one call.

    Attributes:
        groups: the groups, in the order of their rows.
        keys_only: stop with `StopForward` once every group has its keys and values.
        read_computed: whether rows read the keys computed from them; False if `segments` contain
            those.
    """

    groups: Sequence[PackedGroup]
    keys_only: bool = False
    read_computed: bool = True


@contextmanager
def packed_attention(config: Any, batch: PackedBatch) -> Iterator[None]:
    """Replaces the attention of the decoder with this `config` by that of `batch`."""
    with attending(config, partial(_attention, batch)):
        yield


def _attention(
    batch: PackedBatch,
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
        raise CapabilityError("the incremental path does not support attention sinks")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    for group in batch.groups:
        group.computed = (_unpacked(key, group), _unpacked(value, group))
    if batch.keys_only:
        raise StopForward
    out = query.new_empty(1, query.shape[2], query.shape[1], value.shape[-1])
    for group in batch.groups:
        segments = list(group.segments)
        if batch.read_computed:
            assert group.computed is not None
            segments.append(KVSegment(*group.computed, group.allowed))
        queries = _unpacked(query, group)
        rows = _joined([_attend(queries, segment, scale, softcap) for segment in segments])
        out[0, group.rows] = rows.transpose(1, 2).flatten(0, 1).to(out.dtype)
    return out, None


def _unpacked(
    packed: Float[Tensor, "1 head packed d_head"], group: PackedGroup
) -> Float[Tensor, "batch head row d_head"]:
    return packed[0, :, group.rows].unflatten(1, (group.n_conditions, -1)).transpose(0, 1)


_Attended = tuple[Float[Tensor, "batch head row d_head"], Float[Tensor, "batch head row"]]


def _joined(attended: Sequence[_Attended]) -> Float[Tensor, "batch head row d_head"]:
    """Combines each segment's output and log-sum-exp into one softmax over all keys."""
    if len(attended) == 1:
        return attended[0][0]
    sums = torch.stack([lse for _, lse in attended])
    shares = (sums - sums.logsumexp(0)).exp()
    total = torch.zeros_like(attended[0][0], dtype=torch.float32)
    for (out, _), share in zip(attended, shares, strict=True):
        total.addcmul_(out.float(), share[..., None])
    return total


def _attend(
    query: Float[Tensor, "batch head row d_head"],
    segment: KVSegment | RaggedSegment,
    scale: float,
    softcap: float | None,
) -> _Attended:
    """Returns output and log-sum-exp over one segment; 0 and -inf for a row that reads none."""
    if isinstance(segment, RaggedSegment):
        width = segment.segments[0][1].values.shape[-1]
        out = query.new_zeros(*query.shape[:3], width)
        sums = query.new_full(query.shape[:3], -torch.inf, dtype=torch.float32)
        for index, part in segment.segments:
            out[index], sums[index] = _attend(query[index], part, scale, softcap)
        return out, sums
    if not isinstance(segment.allowed, Tensor) and not softcap and _fusible(query):
        return _fused(query, segment, scale)
    batch, heads, rows, _ = query.shape
    kv_heads, width = segment.keys.shape[-3], segment.values.shape[-1]
    # (kv_head, batch, query head per kv_head, row, d_head)
    grouped = query.unflatten(1, (kv_heads, -1)).transpose(0, 1)
    keys, values = segment.keys, segment.values
    if keys.ndim == 3:
        stacked = grouped.flatten(1, 3)
    else:
        keys, values = keys.transpose(0, 1), values.transpose(0, 1)
        stacked = grouped.flatten(2, 3)
    scores = (stacked @ keys.transpose(-1, -2)).float() * scale
    if softcap:
        scores = torch.tanh(scores / softcap) * softcap
    scores = scores.view(kv_heads, batch, heads // kv_heads, rows, -1)
    allowed = _causal(query, keys) if segment.allowed == "causal" else segment.allowed
    if isinstance(allowed, Tensor):
        split = (1, 1) if allowed.shape[1] == 1 else (kv_heads, -1)
        scores = scores.masked_fill(~allowed.unflatten(1, split).transpose(0, 1), -torch.inf)
    sums = scores.logsumexp(-1)
    # A row that reads no key of this segment has only -inf, and exp(-inf - -inf) would be NaN.
    weights = (scores - sums.nan_to_num(neginf=0.0)[..., None]).exp_().to(values.dtype)
    mixed = weights.view(*stacked.shape[:-1], -1) @ values
    out = mixed.view(kv_heads, batch, heads // kv_heads, rows, width)
    return out.transpose(0, 1).flatten(1, 2), sums.transpose(0, 1).flatten(1, 2)


def _causal(query: Tensor, keys: Tensor) -> Bool[Tensor, "1 1 row key"]:
    square = torch.ones(query.shape[2], keys.shape[-2], dtype=torch.bool, device=query.device)
    return square.tril()[None, None]


_FEW_ROWS = 8
"""Below this number of rows, computing the scores is cheaper than copying the keys for a kernel
that does not support grouped heads."""


def _fusible(query: Tensor) -> bool:
    return (
        query.device.type == "cpu"
        and query.shape[2] >= _FEW_ROWS
        and hasattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu")
    )


def _fused(
    query: Float[Tensor, "batch head row d_head"], segment: KVSegment, scale: float
) -> _Attended:
    """As `_attend`, by torch's own kernel, which returns the log-sum-exp but stores no scores."""
    batch, heads, rows, _ = query.shape
    keys, values = segment.keys, segment.values
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
        segment.allowed == "causal",
        attn_mask=None,
        scale=scale,
    )
    if shared:
        out = out[0].unflatten(1, (batch, rows)).transpose(0, 1)
        sums = sums[0].unflatten(1, (batch, rows)).transpose(0, 1)
    return out, sums
