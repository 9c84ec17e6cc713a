"""The layout of visual tokens in an unknown family: guessed, then verified on the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ..errors import CapabilityError, RetinoscopeError
from ._adapter import Adapter
from ._clip_geometry import clip_frame
from ._entering import hooked
from ._layout import Frame, Layout, grid_layout

_DRAWN = 3


@dataclass(frozen=True)
class Geometry:
    """How an image became a single grid of visual tokens.

    Attributes:
        patch: side of a vision tower patch in processed pixels.
        cropped: the image is resized and cropped as the image processor's fields say; else it is
            stretched to the processed size.
        processor: the image processor.
    """

    patch: int
    cropped: bool
    processor: Any

    def layout(self, size: tuple[int, int], pixels: Mapping[str, Tensor], count: int) -> Layout:
        """Where the `count` tokens of an image of `size` (width, height) came from."""
        height, width = _frame_size(pixels)
        factor = _merged(height // self.patch, width // self.patch, count)
        rows, columns = (side // self.patch // factor for side in (height, width))
        if self.cropped:
            frame = clip_frame(size, self.processor)
        else:
            frame = Frame(width / size[0], height / size[1], 0, 0)
        return grid_layout(size, frame, (rows, columns), float(self.patch * factor))


def _frame_size(pixels: Mapping[str, Tensor]) -> tuple[int, int]:
    """Height and width of the only frame.

    Raises:
        CapabilityError: no frame, or several.
    """
    values = pixels.get("pixel_values")
    if values is None or values.ndim < 4 or values.shape[-3] != 3:
        raise CapabilityError(
            "the processor returns no pixel_values with channels, rows and columns"
        )
    if values.shape[:-3].numel() != 1:
        raise CapabilityError("an image becomes several frames")
    return int(values.shape[-2]), int(values.shape[-1])


def _merged(rows: int, columns: int, count: int) -> int:
    """The number of patches along each side of one of `count` visual tokens.

    Raises:
        CapabilityError: no merging of patches gives that count.
    """
    for factor in range(1, gcd(rows, columns) + 1):
        if rows % factor == columns % factor == 0 and rows * columns == count * factor**2:
            return factor
    raise CapabilityError(
        f"{count} visual tokens do not form a grid of merged patches, of which there are "
        f"{rows} x {columns}"
    )


def find_geometry(adapter: Adapter) -> tuple[Geometry | None, str]:
    """The geometry that changing pixels confirms, or None and the reason.

    With attention in the vision tower silenced, changing the pixels in a corner of the box that a
    token claims must change that token most. Checked on a square, a wide and a tall image.
    """
    config = getattr(adapter.model.config, "vision_config", None)
    patch = getattr(config, "patch_size", None)
    if not isinstance(patch, int):
        return None, "the vision tower's config has no patch_size"
    processor = getattr(adapter.processor, "image_processor", None)
    try:
        side = 2 * max(_frame_size(adapter.preprocess(picture((224, 224), 0))))
        shapes = ((side, side), (side * 3 // 2, side), (side, side * 3 // 2))
        images = [picture(shape, seed) for seed, shape in enumerate(shapes)]
    except RetinoscopeError as error:
        return None, str(error)
    why = ""
    for cropped in (True, False):
        geometry = Geometry(patch, cropped, processor)
        try:
            for image in images:
                _confirm(adapter, geometry, image)
        except RetinoscopeError as error:
            why = str(error)
            continue
        return geometry, ""
    return None, why


def _confirm(adapter: Adapter, geometry: Geometry, image: Image.Image) -> None:
    """Raises `CapabilityError` if a token other than the one that claims a box changes most."""
    pixels = adapter.preprocess(image)
    with _without_attention(adapter):
        (before,) = adapter.encode_images([pixels])
        layout = geometry.layout(image.size, pixels, len(before))
        placed = np.flatnonzero(~layout.unplaced)
        drawn = np.random.default_rng(0).choice(placed, min(_DRAWN, len(placed)), replace=False)
        for token in drawn:
            for corner in (_first, _last):
                changed = adapter.preprocess(_inverted(image, corner(layout.boxes[token])))
                (after,) = adapter.encode_images([changed])
                change = (after - before).float().norm(dim=-1)
                most = int(change.argmax())
                if most != token or not change[most] > 0:
                    raise CapabilityError(
                        f"changing the pixels of the box that visual token {token} would have "
                        f"changes token {most} most"
                        if change[most] > 0
                        else "changing an image's pixels changes no visual token by itself"
                    )


def _first(box: np.ndarray) -> tuple[int, int, int, int]:
    """The upper left corner of a box, a quarter of its sides, in whole pixels."""
    x0, y0 = (int(edge) for edge in np.ceil(box[:2] - 1e-6))
    x1, y1 = (int(edge) for edge in np.ceil(box[:2] + (box[2:] - box[:2]) / 4 - 1e-6))
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


def _last(box: np.ndarray) -> tuple[int, int, int, int]:
    """The lower right corner of a box, a quarter of its sides, in whole pixels."""
    x1, y1 = (int(edge) for edge in np.floor(box[2:] + 1e-6))
    x0, y0 = (int(edge) for edge in np.floor(box[2:] - (box[2:] - box[:2]) / 4 + 1e-6))
    return min(x0, x1 - 1), min(y0, y1 - 1), x1, y1


def _inverted(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    x0, y0, x1, y1 = box
    array = np.array(image)
    array[y0:y1, x0:x1] = np.where(array[y0:y1, x0:x1] < 128, 255, 0)
    return Image.fromarray(array)


def picture(size: tuple[int, int], seed: int) -> Image.Image:
    """A smooth random image, the same in every process."""
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


@contextmanager
def _without_attention(adapter: Adapter) -> Iterator[None]:
    """Makes attention modules outside the decoder return zeros."""
    decoder = {id(module) for module in adapter.language_model.modules()}
    outside = (module for module in adapter.model.modules() if id(module) not in decoder)
    silenced = [module for module in outside if type(module).__name__.endswith("Attention")]
    with hooked(silenced, after=_silence):
        yield


def _silence(_: nn.Module, __: Any, output: Any) -> Any:
    if isinstance(output, Tensor):
        return torch.zeros_like(output)
    if isinstance(output, tuple):
        return (torch.zeros_like(output[0]), *output[1:])
    return output
