"""How large an image processor makes an image on its way, and what is too large."""

from __future__ import annotations

from typing import Any

from ..errors import InputError
from ._clip_geometry import entry

MOST_RESIZED = 20_000_000
"""The most pixels that an image may have once the model's processor has resized it. With the copies
that a processor makes, in floating point, so many take about 1 GB."""

MOST_PADDED = 100_000_000
"""The most pixels, of three bytes each, of the square that a processor pads an image to first."""


def refuse_large(size: tuple[int, int], processor: Any) -> None:
    """Raises InputError where `processor` would make an image too large, before it does.

    Args:
        size: width and height of the image.
        processor: a Hugging Face image processor, or one that speaks of its sizes as these do.
    """
    if _pads_to_square(processor):
        side = max(size)
        refuse_larger(size, (side, side), MOST_PADDED, "pads")
    else:
        refuse_larger(size, resized(size, processor))


def refuse_larger(
    size: tuple[int, int], made: tuple[int, int], most: int = MOST_RESIZED, how: str = "resizes"
) -> None:
    """Raises InputError where an image of `size` becomes one of more than `most` pixels."""
    if made[0] * made[1] > most:
        raise InputError(
            f"expected an image of at most {most:,} pixels after the model's processor {how} it, "
            f"got {size[0]}x{size[1]} pixels, which become {made[0]}x{made[1]}: crop it, so that "
            "it is not so long and narrow"
        )


def resized(size: tuple[int, int], processor: Any) -> tuple[int, int]:
    """Width and height that an image has after the processor's resizing, before any crop.

    Only scaling by the shorter side without a bound for the longer one makes an image much larger.
    Processors that choose a grid of tiles (`image_grid_pinpoints`) are bounded by their grids, and
    read a shortest edge as the side of a tile.
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
