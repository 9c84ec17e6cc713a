"""Masks stored as images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int

from ..errors import InputError
from ._box import outer_box
from ._sample import Object
from .images import opened

MOST_BYTES = 4 << 30
"""The limit for all masks of an image."""


def check_masks(count: int, size: tuple[int, int], where: str) -> None:
    """Raises InputError for more masks than fit into `MOST_BYTES`: 1 MB of JSON can ask for a
    terabyte.

    Args:
        size: width and height of the image.
    """
    if count * size[0] * size[1] > MOST_BYTES:
        raise InputError(
            f"{where}: expected masks of at most {MOST_BYTES >> 30} GiB for one image, got {count} "
            f"objects of {size[0]}x{size[1]} pixels: make the image smaller"
        )


def mask_object(name: str, source: Path | bytes, where: str, size: tuple[int, int]) -> Object:
    """The object whose mask is an image of 0 and one other value.

    Args:
        source: the mask's file, or its bytes.
        where: its name in errors.
        size: width and height of the image.

    Raises:
        InputError: a damaged mask, one of another size, an empty one, or one with several values.
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
    with opened(source, where) as image:
        if image.has_transparency_data and image.mode != "P":
            image = image.convert("RGB")
        values = np.asarray(image)
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


def read_labels(file: Path, size: tuple[int, int]) -> Int[np.ndarray, "height width"]:
    """Reads a label map stored as a palette or grey image: the stored numbers.

    Args:
        size: width and height of the image.

    Raises:
        InputError: a damaged file, one in colours, or one of another size.
    """
    with opened(file, str(file)) as image:
        mode, values = image.mode, np.asarray(image)
    if mode not in ("P", "L", "I", "I;16"):
        raise InputError(
            f"{file}: expected a label map as a palette or grey image, got mode {mode}: use the "
            "original file, not one that was converted to colours"
        )
    if values.shape != size[::-1]:
        raise InputError(
            f"{file}: expected a label map of the image's size {size[0]}x{size[1]} (width x "
            f"height), got {values.shape[1]}x{values.shape[0]}: use the one of this image"
        )
    return values.astype(np.int64)
