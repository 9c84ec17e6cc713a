"""The readout fused into one Triton kernel: logits never leave the chip.

A program takes a block of rows through one stretch of the vocabulary: product with the head,
running log-sum-exp, running top-k. Stretches are joined afterwards. Only `_fused` imports this
module, since it needs triton.

Verified by `tests/lens/test_triton.py` against the CPU path: on CUDA if there is a device, or in
triton's interpreter with TRITON_INTERPRET=1. Its block sizes were never tuned on a device, so the
lens uses it only on request.
"""

from __future__ import annotations

import torch
import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]
from jaxtyping import Float, Int
from torch import Tensor

_ROWS, _TOKENS = 64, 64
_PROGRAMS = 512
"""The number of programs to aim for; fewer would leave a large device idle."""


@triton.jit
def _kernel(
    states,
    weight,
    bias,
    ids,
    values,
    sums,
    n_rows,
    vocabulary,
    stretch,
    weight_stride,
    cap,
    WIDTH: tl.constexpr,
    K: tl.constexpr,
    SLOTS: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    HAS_CAP: tl.constexpr,
    ROWS: tl.constexpr,
    TOKENS: tl.constexpr,
    STEP: tl.constexpr,
):
    row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    part = tl.program_id(1)
    slot = tl.arange(0, SLOTS)[None, :]
    place = tl.arange(0, TOKENS)
    is_row = row < n_rows
    start = part * stretch
    stop = tl.minimum(start + stretch, vocabulary)
    # Slots beyond K hold +inf, so that none of them is ever the lowest.
    best = tl.where(slot < K, float("-inf"), float("inf")) + tl.zeros((ROWS, SLOTS), tl.float32)
    best_ids = tl.zeros((ROWS, SLOTS), tl.int32)
    top = tl.full((ROWS,), float("-inf"), tl.float32)
    total = tl.zeros((ROWS,), tl.float32)
    for first in range(start, stop, TOKENS):
        token = first + place
        is_token = token < stop
        logits = tl.zeros((ROWS, TOKENS), tl.float32)
        for at in range(0, WIDTH, STEP):
            column = at + tl.arange(0, STEP)
            is_column = column < WIDTH
            state = tl.load(
                states + row[:, None] * WIDTH + column[None, :],
                mask=is_row[:, None] & is_column[None, :],
                other=0.0,
            )
            # 64 bits: vocabulary x width can exceed 2^31.
            direction = tl.load(
                weight + token.to(tl.int64)[None, :] * weight_stride + column[:, None],
                mask=is_token[None, :] & is_column[:, None],
                other=0.0,
            )
            logits = tl.dot(state, direction, logits, input_precision="ieee")
        if HAS_BIAS:
            logits += tl.load(bias + token, mask=is_token, other=0.0).to(tl.float32)[None, :]
        # The model's own logits are rounded to the head's precision.
        logits = logits.to(weight.dtype.element_ty).to(tl.float32)
        if HAS_CAP:
            logits = (2.0 * tl.sigmoid(2.0 * logits / cap) - 1.0) * cap
        logits = tl.where(is_token[None, :], logits, float("-inf"))

        largest = tl.max(logits, 1)
        higher = tl.maximum(top, largest)
        powers = tl.exp(logits - higher[:, None])
        total = total * tl.exp(top - higher) + tl.sum(powers, 1)
        top = higher

        # Few iterations: after some tiles hardly any logit beats a row's lowest slot.
        better = largest > tl.min(best, 1)
        while tl.max(better.to(tl.int32), 0) > 0:
            where = tl.argmax(logits, 1)
            here = better[:, None] & (slot == tl.argmin(best, 1)[:, None])
            best = tl.where(here, largest[:, None], best)
            best_ids = tl.where(here, (first + where)[:, None].to(tl.int32), best_ids)
            logits = tl.where(place[None, :] == where[:, None], float("-inf"), logits)
            largest = tl.max(logits, 1)
            better = largest > tl.min(best, 1)
    out = part.to(tl.int64) * n_rows + row
    tl.store(sums + out, top + tl.log(total), mask=is_row)
    keep = is_row[:, None] & (slot < K)
    tl.store(values + out[:, None] * K + slot, best, mask=keep)
    tl.store(ids + out[:, None] * K + slot, best_ids, mask=keep)


def top_k_and_log_sum(
    normed: Float[Tensor, "row d_model"],
    weight: Float[Tensor, "vocab d_model"],
    bias: Float[Tensor, " vocab"] | None,
    cap: float | None,
    top_k: int,
) -> tuple[Int[Tensor, "row top_k"], Float[Tensor, "row top_k"], Float[Tensor, " row"]]:
    """Token ids and float32 logits of the k largest logits, and the log-sum-exp.

    Args:
        normed: states after the final norm, contiguous, in the head's precision.
        cap: the model's soft cap of the logits.
    """
    (rows, width), vocabulary = normed.shape, len(weight)
    blocks = triton.cdiv(rows, _ROWS)
    parts = min(triton.cdiv(_PROGRAMS, blocks), triton.cdiv(vocabulary, 8 * _TOKENS))
    stretch = triton.cdiv(triton.cdiv(vocabulary, parts), _TOKENS) * _TOKENS
    # Rounded up to whole tiles, fewer stretches may cover all; an empty one would give -inf.
    parts = triton.cdiv(vocabulary, stretch)
    device = normed.device
    ids = torch.empty(parts, rows, top_k, dtype=torch.int32, device=device)
    values = torch.empty(parts, rows, top_k, device=device)
    sums = torch.empty(parts, rows, device=device)
    _kernel[(blocks, parts)](  # pyright: ignore[reportIndexIssue]
        normed,
        weight,
        weight if bias is None else bias,
        ids,
        values,
        sums,
        rows,
        vocabulary,
        stretch,
        weight.stride(0),
        0.0 if cap is None else cap,
        WIDTH=width,
        K=top_k,
        SLOTS=triton.next_power_of_2(top_k),
        HAS_BIAS=bias is not None,
        HAS_CAP=cap is not None,
        ROWS=_ROWS,
        TOKENS=_TOKENS,
        STEP=32 if normed.dtype == torch.float32 else 64,
    )
    best = values.transpose(0, 1).flatten(1).topk(top_k, dim=1)
    chosen = ids.transpose(0, 1).flatten(1).gather(1, best.indices)
    return chosen.long(), best.values, sums.logsumexp(0)
