"""The readout by the fused kernel, where it can run."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import CapabilityError
from ._head import Head, VocabularyHead
from ._stream import Readout, ranks_of

_MOST = 32
"""Largest top-k, which the kernel holds in registers."""

_ROWS = 1 << 12
"""Rows per call, since a normed copy of all rows can take a tenth of the logits' memory."""


@torch.no_grad()
def fused_read_out(
    head: Head,
    hidden: Float[Tensor, "row d_model"],
    top_k: int,
    words: Sequence[int] = (),
) -> Readout:
    """Does what `read_out` does, by the kernel in `_triton`; ranks of `words` take another pass.

    Raises:
        CapabilityError: no CUDA, no triton, a head that is not a plain `nn.Linear`, or a top-k that
            is too large.
    """
    head = _required(head, hidden, top_k)
    from ._triton import top_k_and_log_sum

    linear = head.adapter.unembedding
    parts = [
        top_k_and_log_sum(
            head.normed(part).to(linear.weight.dtype).contiguous(),
            linear.weight,
            linear.bias,
            head.adapter.soft_cap,
            top_k,
        )
        for part in hidden.split(_ROWS)
    ]
    ids, logits, sums = (torch.cat(some) for some in zip(*parts, strict=True))
    none = torch.empty(0, len(hidden), dtype=torch.long, device=hidden.device)
    return Readout(ids, logits, sums, ranks_of(head, hidden, words) if words else none)


def _required(head: Head, hidden: Tensor, top_k: int) -> VocabularyHead:
    advice = "use kernel='torch'"
    if not isinstance(head, VocabularyHead):
        raise CapabilityError(f"the fused kernel reads logits, this lens gives cosines: {advice}")
    # triton's interpreter runs the kernel on the CPU, which tests it without a GPU.
    if not hidden.is_cuda and os.environ.get("TRITON_INTERPRET") != "1":
        raise CapabilityError(
            f"the fused kernel runs on CUDA, the states are on {hidden.device}: {advice}"
        )
    if importlib.util.find_spec("triton") is None:
        raise CapabilityError(f"the fused kernel needs triton, which is not installed: {advice}")
    if not head.sliceable or head.adapter.unembedding.weight.stride(1) != 1:
        raise CapabilityError(
            f"the fused kernel needs a plain nn.Linear as the head, got "
            f"{type(head.adapter.unembedding).__name__} with hooks, a wrapper or a custom readout: "
            f"{advice}"
        )
    if top_k > _MOST:
        raise CapabilityError(
            f"the fused kernel finds at most {_MOST} tokens, got top_k={top_k}: {advice}"
        )
    return head
