"""The head on a part of the vocabulary: float32 logits of some tokens, equal to the model's."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..models import Adapter


def sliceable(adapter: Adapter) -> bool:
    """Whether a part of the head's rows gives that part of the logits.

    True for a plain `nn.Linear`, tied or not. A wrapped head (hooks, a quantised weight, a family
    with its own `unembed`) is correct only for whole rows of logits.
    """
    head = adapter.unembedding
    return (
        type(adapter).unembed is Adapter.unembed
        and type(head).forward is nn.Linear.forward
        and "forward" not in vars(head)
        and not head._forward_hooks
        and not head._forward_pre_hooks
        and type(head.weight) in (Tensor, nn.Parameter)
        and head.weight.is_floating_point()
    )


def logits_of(
    adapter: Adapter, normed: Float[Tensor, "row d_model"], tokens: slice | Tensor
) -> Float[Tensor, "row token"]:
    """float32 logits of some tokens, soft-capped as in the model.

    The product is rounded to the head's own precision, like the model's.

    Args:
        normed: hidden states after the final norm.
        tokens: a slice of the vocabulary, or token ids.
    """
    if not sliceable(adapter):
        return adapter.unembed(normed)[:, tokens]
    head = adapter.unembedding
    bias = None if head.bias is None else head.bias[tokens]
    logits = F.linear(normed.to(head.weight.dtype), head.weight[tokens], bias).float()
    cap = adapter.soft_cap
    # In place, since a tile of logits dominates the lens's memory.
    return logits if cap is None else logits.div_(cap).tanh_().mul_(cap)
