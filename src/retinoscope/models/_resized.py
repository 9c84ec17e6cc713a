"""The size to which an image processor resizes an image, and its limit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image

from ..errors import InputError
from ._clip_geometry import entry

MOST_RESIZED = 20_000_000
"""The most pixels that an image may have once the model's processor has resized it. With the
processor's copies in floating point, these take about 1 GB."""

MOST_PADDED = 100_000_000
"""The most pixels, of three bytes each, of a square to which a processor first pads an image."""


def refuse_large(size: tuple[int, int], processor: Any) -> None:
    """Raises InputError if `processor` would make an image too large, before it does.

    Args:
        size: width and height of the image.
        processor: a Hugging Face image processor, or one with the same fields for sizes.
    """
    if _pads_to_square(processor):
        side = max(size)
        refuse_larger(size, (side, side), MOST_PADDED, "pads")
    else:
        refuse_larger(size, resized(size, processor))


def refuse_larger(
    size: tuple[int, int], made: tuple[int, int], most: int = MOST_RESIZED, how: str = "resizes"
) -> None:
    """Raises InputError if an image of `size` becomes one of more than `most` pixels."""
    if made[0] * made[1] > most:
        raise InputError(
            f"expected an image of at most {most:,} pixels after the model's processor {how} it, "
            f"got {size[0]}x{size[1]} pixels, which become {made[0]}x{made[1]}: crop it to be less "
            "elongated"
        )


def resized(size: tuple[int, int], processor: Any) -> tuple[int, int]:
    """Width and height of an image after the processor's resizing, before any crop.

    Only scaling by the shorter side without a bound on the longer one can enlarge an image much.
    Processors that choose a grid of tiles (`image_grid_pinpoints`) are bounded by their grids, and
    interpret a shortest edge as the side of a tile.
    """
    wanted = getattr(processor, "size", None)
    shortest = entry(wanted, "shortest_edge")
    bounded = entry(wanted, "longest_edge") or hasattr(processor, "image_grid_pinpoints")
    if not shortest or bounded or not getattr(processor, "do_resize", False):
        return size
    scale = shortest / min(size)
    return max(shortest, int(size[0] * scale)), max(shortest, int(size[1] * scale))


def _pads_to_square(processor: Any) -> bool:
    return hasattr(processor, "pad_to_square") and bool(getattr(processor, "do_pad", False))


@contextmanager
def refused_by_processor(image: Image.Image, *errors: type[Exception]) -> Iterator[None]:
    """Turns a processor's error for an image, mostly an elongated one, into an InputError."""
    try:
        yield
    except errors as error:
        raise InputError(
            f"expected an image that the model's processor accepts, got {image.width}x"
            f"{image.height} pixels ({error}): crop it"
        ) from error
