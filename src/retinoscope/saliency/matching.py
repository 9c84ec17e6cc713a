"""Maps of image-text matching (BLIP ITM): which part of the image makes a text fit?

    matching.cross_attention(model, processor, image, "a cat on a sofa", layer=7, word="cat")

`model` is transformers' `BlipForImageTextRetrieval`, which reads text and image together; maps
explain its matching head's logit of a match.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from transformers import BlipForImageTextRetrieval

from .. import arguments
from ..data import ImageSource, open_image
from ..encoders import Matcher
from ..errors import CapabilityError, InputError
from ..models import (
    clip_frame,
    entering,
    finite,
    grid_layout,
    hooked,
    not_finite,
    refuse_large,
    refuse_training,
)
from ..tokens import check_gradients, frozen
from ._heat_map import HeatMap
from ._method import Method, by_name, middle

__all__ = ["METHODS", "cross_attention", "grad_cam", "probability"]

_MATCH = 1
"""Index of a match among the matching head's two logits."""


@dataclass(frozen=True, eq=False)
class _Pass:
    """Cross-attention of each block (head, text, image), image states, and their gradients."""

    logits: Tensor
    weights: list[Tensor]
    states: list[Tensor]
    ids: list[int]
    boxes: Float[np.ndarray, "patch 4"]

    @property
    def score(self) -> Tensor:
        return self.logits[_MATCH]


def probability(
    model: BlipForImageTextRetrieval, processor: Any, image: ImageSource, text: str
) -> float:
    """Returns the probability that image and text match: the softmax of the matching head.

    Raises:
        InputError: the model is another one, the text is empty, or the image cannot be read.
        CapabilityError: the locations of the patches are not known.
    """
    with entering(_checked(model)), torch.no_grad():
        forward = _run(model, processor, open_image(image), text)
    return float(forward.logits.double().softmax(-1)[_MATCH])


def cross_attention(
    model: BlipForImageTextRetrieval,
    processor: Any,
    image: ImageSource,
    text: str,
    *,
    layer: int,
    word: str | None = None,
) -> HeatMap:
    """Cross-attention times its gradient's positive part, the mean of the heads.

    This is Grad-CAM with attention maps in place of features, as shown by ALBEF and BLIP, which
    use block 8 of 12 (`layer=7`).

    Args:
        model: the model.
        processor: the model's own, for images and text.
        image: the image.
        text: the text.
        layer: block of the text encoder, from 0. In the last block, the matching head reads only
            the first token: all other rows, and so the map, are 0 there.
        word: the part of the text whose rows are read, with all its tokens; None for the mean of
            all tokens except the special ones.

    Returns:
        (n,) non-negative, one per patch; without the class token.

    Raises:
        InputError: the model is another one, the text is empty, the image cannot be read, there is
            no such block, or the text does not contain the word.
        CapabilityError: the locations of the patches are not known.

    Source: Li et al. 2021 (ALBEF, arXiv 2107.07651), section 5.2 and appendix.
    """
    opened = open_image(image)
    with entering(_checked(model)), frozen(model), torch.enable_grad():
        forward = _run(model, processor, opened, text)
        layer = arguments.whole(layer, "blocks", 0, len(forward.weights) - 1)
        rows = _rows(processor, forward.ids, text, word)
        (gradient,) = torch.autograd.grad(forward.score, forward.weights[layer])
    check_gradients(model, gradient)
    product = forward.weights[layer].detach()[0] * gradient[0].clamp(min=0)
    values = product[:, rows].float().mean((0, 1))[-len(forward.boxes) :]
    target = repr(text) if word is None else f"{word!r} in {text!r}"
    settings = {"layer": layer, "match": float(forward.score.detach())}
    return HeatMap(opened, forward.boxes, values.cpu().numpy(), "cross-attention", target, settings)


def grad_cam(
    model: BlipForImageTextRetrieval,
    processor: Any,
    image: ImageSource,
    text: str,
    *,
    layer: int,
) -> HeatMap:
    """Grad-CAM on the patches' states at the input of one block of the vision tower.

    Args:
        model: the model.
        processor: the model's own, for images and text.
        image: the image.
        text: the text.
        layer: block, from 0.

    Returns:
        (n,) non-negative; all 0 if nothing speaks for a match.

    Raises:
        InputError: the model is another one, the text is empty, the image cannot be read, or there
            is no such block.
        CapabilityError: the locations of the patches are not known.

    Source: Selvaraju et al. 2017 (arXiv 1610.02391), section 3.
    """
    opened = open_image(image)
    with entering(_checked(model)), frozen(model), torch.enable_grad():
        forward = _run(model, processor, opened, text)
        layer = arguments.whole(layer, "blocks", 0, len(forward.states) - 1)
        (gradient,) = torch.autograd.grad(forward.score, forward.states[layer])
    check_gradients(model, gradient)
    n = len(forward.boxes)
    states, slopes = forward.states[layer].detach()[0, -n:], gradient[0, -n:]
    values = (states.float() @ slopes.float().mean(0)).clamp(min=0)
    settings = {"layer": layer, "match": float(forward.score.detach())}
    return HeatMap(opened, forward.boxes, values.cpu().numpy(), "grad-cam", repr(text), settings)


METHODS: Mapping[str, Method[Matcher]] = by_name(
    Method(
        "cross-attention",
        cross_attention,
        "cross-attention times its gradient, positive part, at a block of the text encoder",
        depth=lambda matcher: matcher.model.config.text_config.num_hidden_layers,
        # Where ALBEF and BLIP read it: block 8 of 12.
        reads_at=lambda depth: max(2 * depth // 3 - 1, 0),
    ),
    Method(
        "grad-cam",
        grad_cam,
        "states weighted by their mean gradient, positive part, at the input of a block",
        depth=lambda matcher: matcher.model.config.vision_config.num_hidden_layers,
        reads_at=middle,
    ),
)
"""Name -> method; each takes a layer, and requires one."""


def _checked(model: Any) -> BlipForImageTextRetrieval:
    if not isinstance(model, BlipForImageTextRetrieval):
        raise InputError(
            f"expected a BlipForImageTextRetrieval of transformers, got a {type(model).__name__}"
        )
    refuse_training(model)
    return model


def _run(model: BlipForImageTextRetrieval, processor: Any, image: Any, text: str) -> _Pass:
    if not text.strip():
        raise InputError("expected a text to match, got an empty one")
    images = getattr(processor, "image_processor", processor)
    refuse_large(image.size, images)
    pixels = images(images=[image], return_tensors="pt")["pixel_values"]
    ids = processor.tokenizer([text], return_tensors="pt")["input_ids"]
    weights: list[Tensor] = []
    states: list[Tensor] = []

    def keep_weights(module: Any, args: tuple, output: tuple) -> None:
        weights.append(output[1])

    def keep_state(module: Any, args: tuple, kwargs: dict) -> None:
        states.append(args[0] if args else kwargs["hidden_states"])

    parts: Any = model
    texts = [block.crossattention for block in parts.text_encoder.encoder.layer]
    towers = parts.vision_model.encoder.layers
    with hooked(texts, after=keep_weights), hooked(towers, before=keep_state):
        pixels = pixels.to(model.device, model.dtype).requires_grad_(True)
        given = {"input_ids": ids.to(model.device), "pixel_values": pixels}
        output = model(**given, use_itm_head=True)
    if not finite(output.itm_score):
        what = "the logits of a match"
        raise not_finite(model, what, lambda: model(**given, use_itm_head=True))
    patch = int(parts.config.vision_config.patch_size)
    grid = pixels.shape[-2] // patch, pixels.shape[-1] // patch
    n = grid[0] * grid[1]
    if any(tensor.shape[-1] != n + 1 for tensor in weights):
        raise CapabilityError(f"expected {n} patches and a class token, got {weights[0].shape[-1]}")
    layout = grid_layout(image.size, clip_frame(image.size, images), grid, float(patch))
    return _Pass(output.itm_score[0], weights, states, ids[0].tolist(), layout.boxes)


def _rows(processor: Any, ids: Sequence[int], text: str, word: str | None) -> list[int]:
    """Returns indices of the text's tokens without the special ones, or of a word's."""
    special = set(processor.tokenizer.all_special_ids)
    plain = [place for place, index in enumerate(ids) if index not in special]
    if word is None:
        return plain
    pieces = processor.tokenizer(word, add_special_tokens=False)["input_ids"]
    for start in plain:
        if pieces and ids[start : start + len(pieces)] == list(pieces):
            return list(range(start, start + len(pieces)))
    raise InputError(f"expected a word of the text {text!r}, got {word!r}")
