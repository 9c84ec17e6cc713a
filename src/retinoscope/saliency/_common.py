"""Steps that all methods share: choosing an image's tokens and making a map of their values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from .. import arguments
from ..engine import Run, fill
from ..engine.fill import Fill, Mean
from ..errors import InputError
from ..tokens import TokenSet, visual
from ._heat_map import HeatMap
from ._target import Goal


def places_of(goal: Goal, image: int) -> tuple[int, ...]:
    """The positions of the visual tokens of one of the prompt's images.

    Raises:
        InputError: a run without an image, or no such image.
    """
    visual(goal.origin)
    images = goal.origin.images
    return images[arguments.whole(image, "images", 0, len(images) - 1)].positions


def map_of(
    goal: Goal, image: int, values: Tensor | np.ndarray, method: str, **settings: Any
) -> HeatMap:
    """A map of one image from the values of its tokens, in their order."""
    if isinstance(values, Tensor):
        values = values.detach().to("cpu", torch.float64).numpy()
    return HeatMap(
        goal.origin.prompt.images[image],
        goal.origin.images[image].boxes,
        values,
        method,
        goal.text,
        {"score": goal.score, **settings},
        goal.origin.images[image].positions,
    )


def slice_of(goal: Goal, image: int) -> slice:
    """Where an image's tokens lie among the visual tokens of all images."""
    count = len(places_of(goal, image))
    start = sum(len(other) for other in goal.origin.images[:image])
    return slice(start, start + count)


def fill_of(goal: Goal, given: Fill | None) -> Fill:
    """The fill, or the mean of the run's own visual tokens."""
    if given is None:
        places = [place for one in goal.origin.images for place in one.positions]
        return Mean(goal.origin.embeddings[places].float().mean(0), 1, len(places))
    if not isinstance(given, fill.Fill):
        raise InputError(f"expected a fill such as fill.zero(), got a {type(given).__name__}")
    return given


def named(given: Fill | None) -> str:
    """The name under which a fill is recorded."""
    return "mean of this run's visual tokens" if given is None else type(given).__name__.lower()


def layers_in(layer: int | None, stop: int, what: str) -> tuple[int, ...]:
    """The layer itself, or all of them.

    Raises:
        InputError: no such layer.
    """
    if layer is None:
        return tuple(range(stop))
    return (arguments.whole(layer, what, 0, stop - 1),)


def painted(image: Image.Image, boxes: Float[np.ndarray, "n 4"]) -> Image.Image:
    """The image with every pixel that a box touches in the image's mean colour.

    Args:
        boxes: in pixels; those without a place (NaN: padding) cover nothing.
    """
    pixels = np.asarray(image.convert("RGB")).copy()
    mean = pixels.mean((0, 1)).round()
    # One by one: tokens that follow each other may end a row and begin the next.
    for x0, y0, x1, y1 in boxes[~np.isnan(boxes[:, 0])]:
        pixels[math.floor(y0) : math.ceil(y1), math.floor(x0) : math.ceil(x1)] = mean
    return Image.fromarray(pixels)


def tokens_at(run: Run, places: Sequence[int]) -> TokenSet:
    """A token set of these positions."""
    return TokenSet.of(run.sequence, places)
