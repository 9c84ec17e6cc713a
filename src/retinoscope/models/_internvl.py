"""InternVL: a grid of tiles in the shape nearest to the image's, and a thumbnail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from transformers import PreTrainedModel, ProcessorMixin
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import get_optimal_tiled_canvas

from ..errors import CapabilityError
from ._layout import Layout
from ._placeholder import PlaceholderAdapter
from ._tiles import tiled_layout


class InternVLAdapter(PlaceholderAdapter):
    """`InternVLForConditionalGeneration`.

    An image is stretched to the grid of square tiles with the nearest aspect ratio, and cut; if
    there is more than one tile, the whole image, shrunk to one, follows as the last tile of the
    layout. Squares of patches are folded into one visual token each (`downsample_ratio`). All
    visual tokens of an image are consecutive, without text between them.

    Source: Chen et al. 2024, "How Far Are We to GPT-4V?" (InternVL 1.5), section 3.
    """

    family: ClassVar[str] = "InternVL"
    model_types: ClassVar[tuple[str, ...]] = ("internvl",)

    def __init__(self, model: PreTrainedModel, processor: ProcessorMixin) -> None:
        super().__init__(model, processor)
        tile, patch = self._tile, self._patch
        if tile[0] != tile[1] or patch[0] != patch[1]:
            raise CapabilityError(
                f"the model takes only square tiles of square patches, got tiles of {tile[0]}x"
                f"{tile[1]} pixels and patches of {patch[0]}x{patch[1]}: set the size of "
                "processor.image_processor to a square"
            )

    @property
    def _tile(self) -> tuple[int, int]:
        """Height and width of a tile."""
        size = self.processor.image_processor.size
        return int(size["height"]), int(size["width"])

    @property
    def _patch(self) -> tuple[int, int]:
        height, width = self.model.config.vision_config.patch_size
        return int(height), int(width)

    @property
    def _side(self) -> int:
        """Width of a visual token in pixels."""
        return round(self._patch[0] / self.model.config.downsample_ratio)

    # Images

    def _preprocess(self, image: Image.Image) -> Mapping[str, Tensor]:
        kind: Any = self.processor.image_processor
        # As in the family's processor, whatever the image processor's own setting.
        done = kind(images=[image], crop_to_patches=True, return_tensors="pt")
        pixels = done["pixel_values"]
        rows = columns = 1
        if len(pixels) > 1:
            columns, rows = get_optimal_tiled_canvas(
                (image.height, image.width), self._tile, kind.min_patches, kind.max_patches
            )
            if len(pixels) != rows * columns + 1:
                raise CapabilityError(
                    f"expected {rows}x{columns} tiles and a thumbnail, got {len(pixels)} tiles: "
                    "the image processor is not the family's own"
                )
        return {"pixel_values": pixels, "tiles": torch.tensor([rows, columns])}

    def _grids(self, pixels: Mapping[str, Tensor]) -> list[tuple[int, int]]:
        """Rows and columns of visual tokens of each tile."""
        n_tiles, _, height, width = pixels["pixel_values"].shape
        return [(height // self._side, width // self._side)] * n_tiles

    def visual_count(self, pixels: Mapping[str, Tensor]) -> int:
        return sum(rows * columns for rows, columns in self._grids(pixels))

    def layout(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> Layout:
        rows, columns = pixels["tiles"].tolist()
        return tiled_layout(size, (rows, columns), self._grids(pixels), float(self._side))

    def encode_images(
        self, pixels: Sequence[Mapping[str, Tensor]]
    ) -> list[Float[Tensor, "token d_model"]]:
        tower = next(self.model.model.vision_tower.parameters())
        encode: Any = self.model.model.get_image_features
        batch = torch.cat([image["pixel_values"] for image in pixels])
        features = encode(pixel_values=batch.to(tower.device, tower.dtype), return_dict=True)
        tiles = features.pooler_output.to(self.device, self.dtype)
        return [
            part.flatten(0, 1) for part in tiles.split([len(p["pixel_values"]) for p in pixels])
        ]
