"""One pass with gradients through a contrastive model's vision tower."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPModel, SiglipModel

from ..data import ImageSource, open_image
from ..encoders import TwoTower
from ..errors import CapabilityError
from ..models import attending, entering, hooked
from ..tokens import check_gradients, close, frozen


@dataclass(frozen=True, eq=False)
class TowerTrace:
    """The cosine of an image and a text, and its gradients.

    Attributes:
        score: the cosine.
        weights, gradients: attention of each block, (head, n, n); n includes a leading class token
            if there is one.
        states, state_gradients: input of each block, (n, d).
        pool, pool_gradient: (head, n) attention of SigLIP's pooling head, which makes one vector of
            the last states; None for CLIP, which uses the class token.
    """

    score: float
    weights: tuple[Float[Tensor, "head query key"], ...]
    gradients: tuple[Float[Tensor, "head query key"], ...]
    states: tuple[Float[Tensor, "token d"], ...]
    state_gradients: tuple[Float[Tensor, "token d"], ...]
    pool: Float[Tensor, "head token"] | None
    pool_gradient: Float[Tensor, "head token"] | None


def unknown(two: TwoTower) -> str | None:
    """Returns the reason why this model's attention and gradients cannot be read, or None."""
    if isinstance(getattr(two, "model", None), CLIPModel | SiglipModel):
        return None
    return f"{two.name}: gradients and attention can be read of CLIP and SigLIP only"


def tower_trace(two: TwoTower, image: ImageSource, text: str) -> TowerTrace:
    """Runs one forward and one backward pass.

    Raises:
        InputError: the text is empty, or the image cannot be read.
        CapabilityError: the model is not CLIP or SigLIP of transformers, or this pass does not
            reproduce its image vector.
    """
    why = unknown(two)
    if why is not None:
        raise CapabilityError(f"{why}: use similarity or occlusion")
    model: Any = getattr(two, "model", None)
    encoder: Any = two.encoder
    tower: Any = model.vision_model
    blocks = list(tower.encoder.layers)
    weights: list[Tensor] = []
    states: list[Tensor] = []

    def keep_weights(module: nn.Module, args: tuple, output: tuple) -> None:
        weights.append(output[1])

    def keep_state(module: nn.Module, args: tuple, kwargs: dict) -> None:
        states.append(args[0] if args else kwargs["hidden_states"])

    text_vector = torch.from_numpy(two.text([text])[0]).to(model.device)
    image_vector = torch.from_numpy(two.image(image)).to(model.device)
    pixels = encoder.pixels(open_image(image))
    with (
        entering(model),
        hooked([block.self_attn for block in blocks], after=keep_weights),
        hooked(blocks, before=keep_state),
        attending(tower.config, None),
        frozen(model),
        torch.enable_grad(),
    ):
        output = encoder.run(pixels.requires_grad_(True))
        pool = None
        if isinstance(model, CLIPModel):
            vector = model.visual_projection(output.pooler_output)[0]
        else:
            pool, vector = _pooled(tower.head, output.last_hidden_state)
        unit = F.normalize(vector.float(), dim=-1)
        if not close(unit.detach(), image_vector):
            raise CapabilityError(f"{two.name}: this pass does not reproduce the image's vector")
        score = unit @ text_vector.float()
        inner = [*weights, *states, *([] if pool is None else [pool])]
        gradients = torch.autograd.grad(score, inner, materialize_grads=True)
    check_gradients(model, score.detach(), *gradients)
    n = len(weights)
    return TowerTrace(
        float(score.detach()),
        tuple(tensor.detach()[0] for tensor in weights),
        tuple(gradient[0] for gradient in gradients[:n]),
        tuple(tensor.detach()[0] for tensor in states),
        tuple(gradient[0] for gradient in gradients[n : n + len(states)]),
        None if pool is None else pool.detach()[:, 0],
        None if pool is None else gradients[-1][:, 0],
    )


def _pooled(head: Any, hidden: Float[Tensor, "1 token d"]) -> tuple[Tensor, Tensor]:
    """Runs SigLIP's pooling head; returns its attention weights (head, 1, token) and the vector."""
    attention: nn.MultiheadAttention = head.attention
    heads = attention.num_heads
    query, key, value = attention.in_proj_weight.chunk(3)
    bias = attention.in_proj_bias
    parts = (None,) * 3 if bias is None else bias.chunk(3)

    def split(x: Tensor, weight: Tensor, offset: Tensor | None) -> Tensor:
        return F.linear(x[0], weight, offset).unflatten(-1, (heads, -1)).transpose(0, 1)

    q = split(head.probe, query, parts[0])
    k, v = split(hidden, key, parts[1]), split(hidden, value, parts[2])
    weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
    mixed = attention.out_proj((weights @ v).transpose(0, 1).flatten(1))
    return weights, (mixed + head.mlp(head.layernorm(mixed)))[0]
