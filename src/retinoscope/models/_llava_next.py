"""LLaVA-NeXT: the whole image, followed by the image at the size of several tiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from transformers import PreTrainedModel, ProcessorMixin
from transformers.image_processing_utils import select_best_resolution

from ..errors import CapabilityError
from ._clip_geometry import tile_side
from ._layout import Frame, Layout, cells_layout, grid_layout
from ._llava import LlavaAdapter


class LlavaNextAdapter(LlavaAdapter):
    """`LlavaNextForConditionalGeneration` (LLaVA 1.6).

    The vision tower sees an image as squares of a fixed size: first the whole image, stretched to
    one square; then the image at the best of several resolutions, sides in proportion, padded and
    cut into tiles. The features of all tiles form one grid, from which padding is cut off at both
    ends in whole rows or columns (with less than a patch of the image at each; all of it if an
    elongated image fills no whole one), and a learned vector ends each row.

    In the layout, tile 0 is the whole image and tile 1 the grid of all tiles together, so that
    neighbours in the grid are neighbours in the image. The vectors that end rows are unplaced.

    Source: Liu et al. 2024, "LLaVA-NeXT: Improved reasoning, OCR, and world knowledge" (dynamic
    high resolution).
    """

    family: ClassVar[str] = "LLaVA-NeXT"
    model_types: ClassVar[tuple[str, ...]] = ("llava_next",)

    def __init__(self, model: PreTrainedModel, processor: ProcessorMixin) -> None:
        super().__init__(model, processor)
        images: Any = processor.image_processor
        pinpoints = [list(pair) for pair in images.image_grid_pinpoints]
        if tile_side(images) != self._side or pinpoints != self._resolutions:
            raise CapabilityError(
                f"expected an image processor with tiles of {self._side} pixels and the model's "
                f"resolutions {self._resolutions}, got tiles of {tile_side(images)} and "
                f"{pinpoints}: the processor belongs to another model"
            )
        if any(length < self._side or length % self._side for pair in pinpoints for length in pair):
            raise CapabilityError(
                f"expected resolutions in whole tiles of {self._side} pixels, got {pinpoints}: "
                "the model does not support tiles of other sizes"
            )
        if self._leading:
            raise CapabilityError(
                "this model keeps the vision tower's class token, which has no place in a grid of "
                "tiles: set vision_feature_select_strategy to 'default'"
            )

    @property
    def _side(self) -> int:
        """Side of a tile in pixels."""
        return int(self._vision_config.image_size)

    @property
    def _per_side(self) -> int:
        """Number of patches along a tile."""
        return self._side // int(self._vision_config.patch_size)

    @property
    def _resolutions(self) -> list[list[int]]:
        """Candidate heights and widths in pixels, of which the best is chosen."""
        return [list(pair) for pair in self.model.config.image_grid_pinpoints]

    # Images

    def _preprocess(self, image: Image.Image) -> Mapping[str, Tensor]:
        self._tokens(image.size)
        done = self.processor.image_processor(images=[image], return_tensors="pt")
        return {name: done[name][0] for name in ("pixel_values", "image_sizes")}

    def _canvas(self, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height in pixels of all tiles together."""
        height, width = select_best_resolution(size[::-1], self._resolutions)
        return width, height

    def _kept(self, size: tuple[int, int]) -> tuple[range, range]:
        """Columns and rows of all tiles' features that remain without padding."""
        width, height = size
        across, down = (length // self._side * self._per_side for length in self._canvas(size))
        # As the model rounds, which differs from the processor's rounding in pixels.
        if width / height > across / down:
            padding = (down - int(round(height * (across / width), 7))) // 2
            return range(across), range(padding, down - padding)
        padding = (across - int(round(width * (down / height), 7))) // 2
        return range(padding, across - padding), range(down)

    def _shape(self, columns: int, rows: int) -> tuple[int, int]:
        """Columns and rows of visual tokens that the model makes of a grid of features."""
        return columns, rows

    def _tokens(self, size: tuple[int, int]) -> tuple[tuple[range, range], tuple[int, int]]:
        """The features kept, and columns and rows of the visual tokens made from them."""
        kept = self._kept(size)
        return kept, self._shape(*map(len, kept))

    def visual_count(self, pixels: Mapping[str, Tensor]) -> int:
        height, width = pixels["image_sizes"].tolist()
        _, (columns, rows) = self._tokens((width, height))
        return self._per_side**2 + rows * (columns + 1)

    def layout(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> Layout:
        patch = float(self._vision_config.patch_size)
        frame = Frame(self._side / size[0], self._side / size[1], 0, 0)
        whole = grid_layout(size, frame, (self._per_side, self._per_side), patch)
        kept, shape = self._tokens(size)
        across, down = (self._edges(*both) for both in zip(kept, shape, strict=True))
        lines = cells_layout(size, self._frame(size), across, down)
        tiles = (
            _ended(lines.boxes, shape, np.nan),
            _ended(lines.rows, shape, -1),
            _ended(lines.columns, shape, -1),
        )
        boxes, rows, columns = (
            np.concatenate(both)
            for both in zip((whole.boxes, whole.rows, whole.columns), tiles, strict=True)
        )
        return Layout(
            size=size,
            boxes=boxes,
            rows=rows,
            columns=columns,
            tiles=np.repeat([0, 1], [len(whole), len(boxes) - len(whole)]),
            grid=None,
        )

    def _frame(self, size: tuple[int, int]) -> Frame:
        """Maps pixels of all tiles together to pixels of the original image."""
        canvas = self._canvas(size)
        scales = [target / length for target, length in zip(canvas, size, strict=True)]
        # As the processor rounds the side that is not filled, and centres the image.
        new = [
            target if scale == min(scales) else min(ceil(length * min(scales)), target)
            for length, target, scale in zip(size, canvas, scales, strict=True)
        ]
        x, y = ((target - length) // 2 for target, length in zip(canvas, new, strict=True))
        return Frame(new[0] / size[0], new[1] / size[1], -x, -y)

    def _edges(self, kept: range, count: int) -> Float[np.ndarray, "cell 2"]:
        """(count, 2) start and end, in pixels, of equal cells that divide the kept features.

        A tile's side need not be a multiple of a patch: the remainder is in no feature.
        """
        step = np.arange(count + 1) * len(kept) + kept.start * count
        # In whole 1/count features, so that no border is lost to rounding.
        unit = self._per_side * max(count, 1)
        patch = int(self._vision_config.patch_size) / max(count, 1)
        begin = step[:-1] // unit * self._side + step[:-1] % unit * patch
        # A cell that ends with a tile does not extend into the next one.
        last = step[1:] - 1
        end = last // unit * self._side + (last % unit + 1) * patch
        return np.stack([begin, end], axis=1)

    def encode_images(
        self, pixels: Sequence[Mapping[str, Tensor]]
    ) -> list[Float[Tensor, "token d_model"]]:
        tower = next(self.model.model.vision_tower.parameters())
        encode: Any = self.model.get_image_features
        features_of: list[Tensor] = []
        for image in pixels:
            features = encode(
                pixel_values=image["pixel_values"][None].to(tower.device, tower.dtype),
                image_sizes=image["image_sizes"][None].to(tower.device),
                return_dict=True,
            )
            features_of.append(torch.cat(list(features.pooler_output)).to(self.device, self.dtype))
        return features_of


def _ended(values: np.ndarray, shape: tuple[int, int], end: float) -> np.ndarray:
    """Appends one value to each row of a grid.

    Args:
        values: (rows * columns, ...) row by row.
        shape: columns and rows.
    """
    columns, rows = shape
    grid = values.reshape(rows, columns, *values.shape[1:])
    ends = np.full_like(grid, end, shape=(rows, 1, *values.shape[1:]))
    return np.concatenate([grid, ends], axis=1).reshape(-1, *values.shape[1:])
