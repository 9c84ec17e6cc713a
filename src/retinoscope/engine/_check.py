"""The self-check at load: this very model behaves as its adapter says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ..errors import CapabilityError
from ._attention import attention_rows
from ._forward import Batch, Trace, forward, new_cache
from ._plan import Cut, Plan

if TYPE_CHECKING:
    from ._vlm import VLM

_N = 8
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-6}


@torch.no_grad()
def self_check(vlm: VLM) -> None:
    """A few passes over 8 positions of the model's own vocabulary, without an image.

    Our logits equal those of the model's own forward pass; the lens of the last layer equals them
    too; a knocked-out edge reads exactly 0 in the attention row and changes the logits.

    Raises:
        CapabilityError: naming what does not hold.
    """
    adapter = vlm.adapter
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, adapter.embedding.num_embeddings, (1, _N), generator=generator)
    embeds = adapter.embedding(ids.to(adapter.device))
    trace, cache = Trace(), new_cache(adapter)
    ours = forward(adapter, embeds, cache=cache, trace=trace)
    plain = vlm.model(inputs_embeds=embeds, use_cache=False).logits[:, -1].float()
    _same(vlm, ours, plain, "the logits of the adapter's forward pass", "the model's own")
    lens = adapter.read_out(trace.hidden[-1][:, -1])
    _same(vlm, lens, ours, "the lens of the last layer", "the logits")
    if not vlm.capabilities.supports("knockout"):
        return
    layer = adapter.n_layers // 2
    cut = Cut(np.array([_N - 1]), np.array([1, 2]), frozenset([layer]), None, False)
    batch = Batch(adapter, _N, [Plan(None, (cut,), {}), Plan(None, (), {})])
    edited = forward(adapter, embeds.expand(2, -1, -1), batch=batch)
    _same(vlm, edited[1:], ours, "a row without interventions", "the plain forward pass")
    if torch.equal(edited[0], edited[1]):
        raise CapabilityError(
            f"{vlm.capabilities.architecture}: a knocked-out edge changed nothing, so its "
            "attention does not heed the mask: load it with attention='eager'"
        )
    row = attention_rows(adapter, trace, cache, layer, (_N - 1,), (cut,))[:, 0]
    if row[:, 1:3].abs().max() != 0 or not torch.allclose(
        row.float().sum(-1), torch.ones(len(row), device=row.device), atol=1e-2
    ):
        raise CapabilityError(
            f"{vlm.capabilities.architecture}: a knocked-out edge does not read 0 in the "
            "attention row, so knockouts are not exact on this model"
        )


def _same(vlm: VLM, found: torch.Tensor, wanted: torch.Tensor, what: str, than: str) -> None:
    scale = float(wanted.abs().max()) or 1.0
    error = float((found - wanted).abs().max()) / scale
    # In half precision two batch shapes already differ in the third digit.
    if not error <= _TOLERANCE.get(vlm.dtype, 5e-2):
        raise CapabilityError(
            f"{vlm.capabilities.architecture}: {what} differs from {than} by {error:.1e} of the "
            "largest logit: this family needs an adapter of its own"
        )
