"""Reads states out by a head, which makes a `Lens`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ..arguments import one_of, whole
from ..errors import InputError
from ..models import Adapter, finite, in_turn, not_finite
from ..tokens import Position
from ._head import Head, VocabularyHead
from ._lens import Lens, Word, token_ids
from ._stream import Readout, read_out

Kernel = Literal["torch", "triton"]


def logit_lens(
    adapter: Adapter,
    hidden: Float[Tensor, "layer token d_model"],
    positions: Sequence[int],
    top_k: int = 5,
    words: Sequence[Word] = (),
    kernel: Kernel = "torch",
) -> Lens:
    """The logit lens of residual-stream states at all layers; see `lens_of`."""
    layers = tuple(range(len(hidden)))
    return lens_of(VocabularyHead(adapter), hidden, positions, layers, top_k, words, kernel)


@in_turn(lambda head: head.adapter.model)
@torch.no_grad()
def lens_of(
    head: Head,
    hidden: Float[Tensor, "layer token d_model"],
    positions: Sequence[int],
    layers: Sequence[int],
    top_k: int = 5,
    words: Sequence[Word] = (),
    kernel: Kernel = "torch",
    *,
    kind: str = "logit",
) -> Lens:
    """Reads states out by a head whose entries are tokens, in one pass over it.

    Besides its results and `hidden`, which it keeps, it takes less than a tenth of the memory of
    all scores in float32.

    Args:
        head: what the states are scored against.
        hidden: (layers, n, d_model) states as the head takes them.
        positions: the n positions in their run.
        layers: the layers' numbers.
        top_k: number of words per state.
        words: words or token ids to rank in the same pass, which makes `Lens.rank` of them free.
        kernel: "triton" is the fused kernel on CUDA, which stores no logits at all. Both agree
            within rounding.
        kind: the name of the lens.

    Raises:
        InputError: no positions, `top_k` outside 1 to the number of entries, or an unknown word.
        CapabilityError: the kernel cannot run here, for this model or with this `top_k`.
        NonFiniteError: states whose readout is NaN or infinite.
    """
    n_layers, n, _ = hidden.shape
    if not n:
        raise InputError("expected at least one position, got none")
    top_k = whole(top_k, "top_k", 1, head.size)
    one_of(kernel, ("torch", "triton"), "kernel")
    goals = list(dict.fromkeys(token_ids(head.adapter, words))) if len(words) else []
    rows = hidden.flatten(0, 1)
    if kernel == "triton":
        from ._fused import fused_read_out

        readout = fused_read_out(head, rows, top_k, goals)
    else:
        readout = read_out(head, rows, top_k, goals)
    _require_finite(head, hidden, readout, positions, layers)
    scores, sums = readout.scores, readout.log_sums
    return Lens(
        ids=readout.ids.unflatten(0, (n_layers, n)),
        values=(scores if sums is None else (scores - sums[:, None]).exp()).unflatten(
            0, (n_layers, n)
        ),
        positions=tuple(map(Position, positions)),
        layers=tuple(layers),
        kind=kind,
        log_sums=None if sums is None else sums.view(n_layers, n),
        _hidden=hidden,
        _head=head,
        _adapter=head.adapter,
        _ranks=dict(zip(goals, readout.ranks, strict=True)),
    )


def _require_finite(
    head: Head,
    hidden: Float[Tensor, "layer token d_model"],
    readout: Readout,
    positions: Sequence[int],
    layers: Sequence[int],
) -> None:
    found = readout.scores[:, 0] if readout.log_sums is None else readout.log_sums
    if not finite(found):
        row, place = (~torch.isfinite(found.view(hidden.shape[:2]))).nonzero()[0].tolist()
        what = f"the lens of layer {layers[row]} at position {positions[place]}"
        raise not_finite(
            head.adapter.model, what, lambda: head.adapter.read_out(hidden[row, place])
        )
