"""Qwen2-VL and Qwen2.5-VL: images of any size, merged patches, rotary positions on three axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from ._adapter import Inputs
from ._layout import Frame, Layout, grid_layout
from ._placeholder import PlaceholderAdapter
from ._resized import refused_by_processor


class QwenVLAdapter(PlaceholderAdapter):
    """`Qwen2VLForConditionalGeneration`.

    An image is resized so that both sides are multiples of a merged patch; a visual token is a
    square of `spatial_merge_size` x `spatial_merge_size` patches of the resized image. Text has the
    same position on all three rotary axes; a visual token has its row and column on the second and
    third, and what follows an image continues from its longer side.

    Source: Wang et al. 2024, "Qwen2-VL", sections 2.1 and 2.2.
    """

    family: ClassVar[str] = "Qwen2-VL"
    model_types: ClassVar[tuple[str, ...]] = ("qwen2_vl",)

    # Images

    def _preprocess(self, image: Image.Image) -> Mapping[str, Tensor]:
        # The processor refuses images with an aspect ratio above 200.
        with refused_by_processor(image, ValueError):
            done = self.processor.image_processor(images=[image], return_tensors="pt")
        return {name: done[name] for name in ("pixel_values", "image_grid_thw")}

    @property
    def _merge(self) -> int:
        return int(self.model.config.vision_config.spatial_merge_size)

    def _grid(self, pixels: Mapping[str, Tensor]) -> tuple[int, int]:
        """Rows and columns of visual tokens."""
        _, rows, columns = pixels["image_grid_thw"][0].tolist()
        return rows // self._merge, columns // self._merge

    def visual_count(self, pixels: Mapping[str, Tensor]) -> int:
        rows, columns = self._grid(pixels)
        return rows * columns

    def layout(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> Layout:
        rows, columns = self._grid(pixels)
        side = float(self._merge * self.model.config.vision_config.patch_size)
        frame = Frame(columns * side / size[0], rows * side / size[1], 0, 0)
        return grid_layout(size, frame, (rows, columns), side)

    def encode_images(
        self, pixels: Sequence[Mapping[str, Tensor]]
    ) -> list[Float[Tensor, "token d_model"]]:
        features = self._seen(pixels).pooler_output
        return [image.to(device=self.device, dtype=self.dtype) for image in features]

    def _seen(self, pixels: Sequence[Mapping[str, Tensor]]) -> Any:
        """The vision tower's output for all images at once."""
        tower = next(self.model.model.visual.parameters())
        encode: Any = self.model.model.get_image_features
        return encode(
            torch.cat([image["pixel_values"] for image in pixels]).to(tower.device, tower.dtype),
            torch.cat([image["image_grid_thw"] for image in pixels]).to(tower.device),
            return_dict=True,
        )

    # Rotary positions

    def arguments(self, inputs: Inputs, start: int, stop: int) -> dict[str, Any]:
        positions = self.rotary_positions(inputs, stop)[:, start:stop]
        return {"position_ids": positions[:, None].to(self.device)}

    def rotary_positions(self, inputs: Inputs, stop: int) -> Int[Tensor, "3 token"]:
        """Time, row and column of every position before `stop`, including generated text."""
        parts: list[Tensor] = []
        done = following = 0
        for places, pixels in zip(inputs.image_positions, inputs.pixels, strict=True):
            parts.append(_on_all_axes(following, places[0] - done))
            following += places[0] - done
            rows, columns = self._grid(pixels)
            grid = torch.cartesian_prod(torch.arange(1), torch.arange(rows), torch.arange(columns))
            parts.append(grid.T + following)
            following += max(rows, columns)
            done = places[-1] + 1
        parts.append(_on_all_axes(following, max(stop, done) - done))
        return torch.cat(parts, 1)


class Qwen25VLAdapter(QwenVLAdapter):
    """`Qwen2_5_VLForConditionalGeneration`: like Qwen2-VL, with windows in the vision tower.

    Source: Bai et al. 2025, "Qwen2.5-VL Technical Report", section 2.1.
    """

    family: ClassVar[str] = "Qwen2.5-VL"
    model_types: ClassVar[tuple[str, ...]] = ("qwen2_5_vl",)


def _on_all_axes(first: int, count: int) -> Int[Tensor, "3 token"]:
    return torch.arange(first, first + count).expand(3, -1)
