"""The geometry of CLIP's image processor: pad to a square, resize and crop, as configured."""

from __future__ import annotations

from math import ceil
from typing import Any

from ..errors import CapabilityError, InputError
from ._layout import Frame


def clip_frame(size: tuple[int, int], processor: Any) -> Frame:
    """Maps the pixels that the vision tower sees to pixels of the original image.

    Follows the fields `do_pad`, `do_resize`, `size`, `do_center_crop` and `crop_size` of the
    processor in the order of its `_preprocess`, with the same rounding.

    Args:
        size: width and height of the original image.
        processor: a Hugging Face image processor of CLIP's kind.

    Raises:
        InputError: the image is so elongated that a side would be resized to nothing.
        CapabilityError: a `size` of an unknown kind.
    """
    width, height = size
    left, top = 0, 0
    pads_first = hasattr(processor, "pad_to_square") and getattr(processor, "do_pad", False)
    if pads_first:
        side = max(width, height)
        # Origin of the padded square, in pixels of the original image.
        left, top = -((side - width) // 2), -((side - height) // 2)
        width = height = side
    new_width, new_height = width, height
    if getattr(processor, "do_resize", False):
        new_width, new_height = _resized(width, height, processor.size)
    if min(new_width, new_height) < 1:
        raise InputError(f"expected a less elongated image, got {size[0]}x{size[1]} pixels")
    scale_x, scale_y = new_width / width, new_height / height
    offset_x, offset_y = 0, 0
    if getattr(processor, "do_center_crop", False):
        crop = processor.crop_size
        offset_x = _crop_start(new_width, int(crop["width"]))
        offset_y = _crop_start(new_height, int(crop["height"]))
    return Frame(scale_x, scale_y, offset_x + left * scale_x, offset_y + top * scale_y)


def tile_side(processor: Any) -> int:
    """Side in pixels of the squares into which LLaVA-NeXT's image processor divides an image.

    Args:
        processor: a Hugging Face image processor of LLaVA-NeXT's kind.

    Raises:
        CapabilityError: tiles and whole image are not squares of the same size.
    """
    size, crop = processor.size, getattr(processor, "crop_size", None)
    shortest = entry(size, "shortest_edge")
    height, width = (entry(size, key) or shortest for key in ("height", "width"))
    sides = {height, width, entry(crop, "height") or height, entry(crop, "width") or width}
    if len(sides) > 1 or not height:
        raise CapabilityError(
            f"expected an image processor whose size and crop_size are the same square, got size "
            f"{dict(size)} and crop_size {dict(crop or {})}: the boxes of its visual tokens are "
            "unknown"
        )
    return height


def _resized(width: int, height: int, size: Any) -> tuple[int, int]:
    shortest, longest = entry(size, "shortest_edge"), entry(size, "longest_edge")
    fixed_height, fixed_width = entry(size, "height"), entry(size, "width")
    if shortest and not longest:
        if width <= height:
            return shortest, int(shortest * height / width)
        return int(shortest * width / height), shortest
    if fixed_height and fixed_width:
        return fixed_width, fixed_height
    raise CapabilityError(
        f"expected an image processor whose size is a shortest edge or a height and a width, got "
        f"{dict(size)}: the boxes of its visual tokens are unknown"
    )


def entry(size: Any, key: str) -> int | None:
    """One entry of a processor's `size`; None if it is missing."""
    try:
        value = size[key]
    except (KeyError, TypeError):
        return None
    return None if value is None else int(value)


def _crop_start(side: int, crop: int) -> int:
    """Where the centre crop starts; negative if the processor pads because the crop is larger."""
    start = (side - crop) // 2
    if start >= 0 and start + crop <= side:
        return start
    # The library pads by half, rounded up, and then crops from half, rounded down.
    return -(ceil((max(crop, side) - side) / 2)) + max(
        0, start + ceil((max(crop, side) - side) / 2)
    )
