"""Steps shared by all methods: choosing an image's tokens and making a map from their values."""

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
    """Returns the positions of the visual tokens of one of the prompt's images.

    Raises:
        InputError: the run has no image, or there is no such image.
    """
    visual(goal.origin)
    images = goal.origin.images
    return images[arguments.whole(image, "images", 0, len(images) - 1)].positions


def map_of(
    goal: Goal, image: int, values: Tensor | np.ndarray, method: str, **settings: Any
) -> HeatMap:
    """Makes a map of one image from the values of its tokens, in order."""
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
    """Returns the slice of an image's tokens among the visual tokens of all images."""
    count = len(places_of(goal, image))
    start = sum(len(other) for other in goal.origin.images[:image])
    return slice(start, start + count)


def fill_of(goal: Goal, given: Fill | None) -> Fill:
    """Returns the fill, or by default the mean of the run's own visual tokens."""
    if given is None:
        places = [place for image in goal.origin.images for place in image.positions]
        return Mean(goal.origin.embeddings[places].float().mean(0), 1, len(places))
    if not isinstance(given, fill.Fill):
        raise InputError(f"expected a fill such as fill.zero(), got a {type(given).__name__}")
    return given


def named(given: Fill | None) -> str:
    """Returns the name under which a fill is recorded."""
    return "mean of this run's visual tokens" if given is None else type(given).__name__.lower()


def layers_in(layer: int | None, stop: int, what: str) -> tuple[int, ...]:
    """Returns the given layer alone, or all of them.

    Raises:
        InputError: there is no such layer.
    """
    if layer is None:
        return tuple(range(stop))
    return (arguments.whole(layer, what, 0, stop - 1),)


def painted(image: Image.Image, boxes: Float[np.ndarray, "n 4"]) -> Image.Image:
    """Returns the image with every pixel that a box touches painted in the image's mean colour.

    Args:
        image: the image.
        boxes: in pixels; those with NaN (padding) cover nothing.
    """
    pixels = np.asarray(image.convert("RGB")).copy()
    mean = pixels.mean((0, 1)).round()
    # One at a time: consecutive tokens may end a row and begin the next.
    for x0, y0, x1, y1 in boxes[~np.isnan(boxes[:, 0])]:
        pixels[math.floor(y0) : math.ceil(y1), math.floor(x0) : math.ceil(x1)] = mean
    return Image.fromarray(pixels)


def tokens_at(run: Run, places: Sequence[int]) -> TokenSet:
    """Returns a token set of these positions."""
    return TokenSet.of(run.sequence, places)
