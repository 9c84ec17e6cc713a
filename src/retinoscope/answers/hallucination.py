"""The paper's hallucination filter: does the model see the object, or only expect it?

An object is kept if the model identifies it in the original image but not once the object's pixels
are replaced (Neo et al. 2024, section 3). The released code crops the image to its centre square,
overwrites every patch of floor(side / 24) pixels that the object touches with one tile of uniform
random RGB, and shows the model that square; it has an unused variant in grey 128. Only the
generative answer decides.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from PIL import Image

from .. import arguments
from ..errors import CapabilityError, InputError
from ..tokens import region_cover
from ..tokens.released import cropped, patch_boxes, released_side, released_tokens
from .matching import names_object, paper_names_object

if TYPE_CHECKING:
    from ..data import Object, Sample
    from ..tokens import Layout

GREY = 128

Box = tuple[float, float, float, float]
Boxes = Sequence[Box]


class Describe(Protocol):
    """Returns the caption that a model generates for an image."""

    def __call__(self, image: Image.Image) -> str: ...


@dataclass(frozen=True)
class HallucinationFilter:
    """Keeps objects that the caption names, and no longer once their pixels are replaced.

    Args:
        mode: "corrected" (whole words; the boxes of the object's tokens in the whole image) or
            "paper" (the released code's substring rule; its patches, in the centre square alone).
        fill: "noise" (one random tile per object, from `seed` and the sample) or "grey".
        seed: seed of the noise; the paper's is unseeded.
    """

    mode: Literal["corrected", "paper"] = "corrected"
    fill: Literal["noise", "grey"] = "noise"
    seed: int = 0

    def __post_init__(self) -> None:
        arguments.checked_fields(self)
        arguments.seed(self.seed)

    def correct(self, caption: str, name: str) -> bool:
        """Whether the caption identifies the object under this filter's rules."""
        return (paper_names_object if self.mode == "paper" else names_object)(caption, name)

    def outcome(
        self,
        describe: Describe,
        sample: Sample,
        index: int,
        layout: Layout,
        original: str | None = None,
    ) -> FilterOutcome:
        """Decides whether an object passes.

        Args:
            describe: captions an image.
            sample: the sample.
            index: of the object among the sample's; with `seed` and the sample's id it seeds the
                noise.
            layout: where the image's visual tokens come from.
            original: the caption of the original image, if it is known already.

        Raises:
            InputError: the object's mask is empty.
            MissingExtraError: as `released_tokens`.
        """
        obj = sample.objects[index]
        caption = describe(sample.image) if original is None else original
        if not self.correct(caption, obj.name):
            return FilterOutcome((caption,), False, None)
        seen, boxes = self.seen(sample.image, obj, layout)
        seed = zlib.crc32(f"{self.seed}/{sample.id}/{index}".encode())
        if boxes:
            seen = replace_pixels(seen, boxes, self.fill, seed)
        replaced = describe(seen)
        return FilterOutcome((caption, replaced), True, self.correct(replaced, obj.name))

    def seen(self, image: Image.Image, obj: Object, layout: Layout) -> tuple[Image.Image, Boxes]:
        """Returns the image shown without the object, and the boxes in it that are replaced.

        If the visual tokens do not form a square grid, the released code's patches do not exist,
        and paper mode replaces the exact boxes too.
        """
        if self.mode == "paper":
            try:
                released = released_tokens(obj, image.size, released_side(layout))
            except CapabilityError:
                pass
            else:
                square = cropped(image)
                return square, patch_boxes(released, square.width)
        cover = region_cover(obj.mask, layout.size, layout.boxes)
        return image, [tuple(box) for box in layout.boxes[cover > 0].tolist()]


@dataclass(frozen=True)
class FilterOutcome:
    """Whether the object is named before and after its pixels are replaced.

    Attributes:
        captions: of the original image and, if that one is correct, of the image with replacement.
        before, after: whether each caption names the object; None without the second caption.
    """

    captions: tuple[str, ...]
    before: bool
    after: bool | None

    @property
    def kept(self) -> bool:
        return self.before and not self.after


def replace_pixels(
    image: Image.Image,
    boxes: Boxes,
    fill: str = "noise",
    seed: int = 0,
) -> Image.Image:
    """Returns a copy of `image` (as RGB) with every box overwritten.

    Args:
        image: the image.
        boxes: x0, y0, x1, y1 in pixels; a pixel belongs to a box if the box covers part of it.
            Boxes with NaN (unplaced tokens) are skipped.
        fill: "noise": one tile of uniform random RGB (0 to 254, as the paper's) as large as the
            largest box, placed in each; "grey": 128.
        seed: seed of the tile.

    Raises:
        InputError: no box is inside the image.
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
        tile = (rng.random((tile_height, tile_width, 3)) * 255).astype(np.uint8)
    else:
        tile = np.full((tile_height, tile_width, 3), GREY, dtype=np.uint8)
    for x0, y0, x1, y1 in spans:
        pixels[y0:y1, x0:x1] = tile[: y1 - y0, : x1 - x0]
    return Image.fromarray(pixels)
