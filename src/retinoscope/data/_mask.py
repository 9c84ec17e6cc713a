"""Masks that are stored as images."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from PIL import Image

from ..errors import InputError
from ._box import outer_box
from ._sample import Object


def mask_object(name: str, source: Path | bytes, where: str, size: tuple[int, int]) -> Object:
    """The object whose mask is an image of 0 and one other value.

    Args:
        source: the mask's file, or its bytes.
        where: what to call it in errors.
        size: width and height of the image.

    Raises:
        InputError: a damaged mask, one of another size, empty, or of several values.
    """
    mask = _read(source, where)
    if mask.shape != size[::-1]:
        raise InputError(
            f"{where}: expected a mask of the image's size {size[0]}x{size[1]} (width x height), "
            f"got {mask.shape[1]}x{mask.shape[0]}: use the mask of this image"
        )
    if not mask.any():
        raise InputError(f"{where}: expected a mask with at least one pixel, got an empty one")
    return Object(name, mask, outer_box(mask))


def _read(source: Path | bytes, where: str) -> Bool[np.ndarray, "height width"]:
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            if image.has_transparency_data and image.mode != "P":
                image = image.convert("RGB")
            values = np.asarray(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{where}: expected a mask as an image, got a damaged one") from error
    if values.ndim == 3:
        values = values.max(axis=2)
        return values > 0
    inside = np.unique(values[values > 0])
    if len(inside) > 1:
        raise InputError(
            f"{where}: expected a mask of 0 and one other value, got {len(inside)} other values: "
            "save the mask of one object, without smoothed edges"
        )
    return values > 0
