"""The paper's hallucination filter: does the model see the object, or only expect it?

An object is kept if the model identifies it on the original image and no longer does once the
object's pixels are replaced (Neo et al. 2024, section 3). The released code overwrites every patch
that the object touches with one tile of uniform random RGB, tiled over all of them, and has an
unused variant in grey 128; only the generative answer decides.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image

from ..errors import InputError
from ._matching import names_object, paper_names_object

FILLS = ("noise", "grey")
GREY = 128


class Describe(Protocol):
    """Gives the caption that a model generates for an image."""

    def __call__(self, image: Image.Image) -> str: ...


@dataclass(frozen=True)
class HallucinationFilter:
    """Settings of the filter.

    Args:
        fill: "noise" (one random tile per object, from `seed` and the sample) or "grey".
        mode: "corrected" (whole words) or "paper" (the released code's substring rule).
        seed: of the noise; the paper's is unseeded.
    """

    fill: str = "noise"
    mode: str = "corrected"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.fill not in FILLS:
            raise InputError(f"fill must be one of {', '.join(FILLS)}, got {self.fill!r}")
        if self.mode not in ("corrected", "paper"):
            raise InputError(f"mode must be 'corrected' or 'paper', got {self.mode!r}")

    def correct(self, caption: str, name: str) -> bool:
        """Whether the caption identifies the object under this filter's rules."""
        return (paper_names_object if self.mode == "paper" else names_object)(caption, name)

    def keep(
        self,
        describe: Describe,
        image: Image.Image,
        boxes: Sequence[tuple[float, float, float, float]],
        name: str,
        key: str,
        original: str | None = None,
    ) -> FilterOutcome:
        """Whether the object `name` passes.

        Args:
            describe: caption of an image.
            image: the original.
            boxes: of the visual tokens that the object touches, in pixels of `image`.
            name: the object's name.
            key: seeds the noise together with `seed`, e.g. the sample's id and the object's name.
            original: the caption of the original image, if it is known already.
        """
        caption = describe(image) if original is None else original
        before = self.correct(caption, name)
        if not before:
            return FilterOutcome(False, False, None)
        replaced = replace_pixels(
            image, boxes, self.fill, zlib.crc32(f"{self.seed}/{key}".encode())
        )
        after = self.correct(describe(replaced), name)
        return FilterOutcome(not after, True, after)


@dataclass(frozen=True)
class FilterOutcome:
    """`before` and `after`: correct on the original and on the replaced image (None: not asked)."""

    kept: bool
    before: bool
    after: bool | None


def replace_pixels(
    image: Image.Image,
    boxes: Sequence[tuple[float, float, float, float]],
    fill: str = "noise",
    seed: int = 0,
) -> Image.Image:
    """A copy of `image` (as RGB) with every box overwritten.

    Args:
        boxes: x0, y0, x1, y1 in pixels; a pixel belongs to a box if the box covers part of it.
            Boxes with NaN (unplaced tokens) are passed over.
        fill: "noise": one tile of uniform random RGB as large as the largest box, laid into
            each; "grey": 128.
        seed: of the tile.
    """
    pixels = np.array(image.convert("RGB"))
    height, width = pixels.shape[:2]
    placed = [box for box in boxes if not np.isnan(np.asarray(box, float)).any()]
    spans = [
        (
            max(0, int(np.floor(x0))),
            max(0, int(np.floor(y0))),
            min(width, int(np.ceil(x1))),
            min(height, int(np.ceil(y1))),
        )
        for x0, y0, x1, y1 in placed
    ]
    spans = [(x0, y0, x1, y1) for x0, y0, x1, y1 in spans if x1 > x0 and y1 > y0]
    if not spans:
        raise InputError("no box lies inside the image, so there is nothing to replace")
    tile_height = max(y1 - y0 for _, y0, _, y1 in spans)
    tile_width = max(x1 - x0 for x0, _, x1, _ in spans)
    if fill == "noise":
        rng = np.random.default_rng(seed)
        tile = rng.integers(0, 256, (tile_height, tile_width, 3), dtype=np.uint8)
    else:
        tile = np.full((tile_height, tile_width, 3), GREY, dtype=np.uint8)
    for x0, y0, x1, y1 in spans:
        pixels[y0:y1, x0:x1] = tile[: y1 - y0, : x1 - x0]
    return Image.fromarray(pixels)
