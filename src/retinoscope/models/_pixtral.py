"""Pixtral and Mistral 3: images of any size, one row of visual tokens after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from transformers import PreTrainedConfig

from ._layout import Frame, Layout, grid_layout
from ._placeholder import PlaceholderAdapter
from ._resized import refused_by_processor


class PixtralAdapter(PlaceholderAdapter):
    """`LlavaForConditionalGeneration` with the vision tower of Pixtral.

    An image is resized so that both sides are multiples of a visual token. A token ends each row of
    visual tokens, with another kind after the last row; these have their own ids and embeddings and
    are ordinary text.

    Source: Agrawal et al. 2024, "Pixtral 12B", section 2.2.
    """

    family: ClassVar[str] = "Pixtral"
    model_types: ClassVar[tuple[str, ...]] = ("llava",)

    @classmethod
    def takes(cls, config: PreTrainedConfig) -> bool:
        tower = getattr(config, "vision_config", None)
        return super().takes(config) and getattr(tower, "model_type", None) == "pixtral"

    # Images

    def _preprocess(self, image: Image.Image) -> Mapping[str, Tensor]:
        processor: Any = self.processor
        # As in the family's processor, whatever the image processor's own setting.
        patch = processor.patch_size * processor.spatial_merge_size
        # Nothing is left on the shorter side of an elongated image.
        with refused_by_processor(image, ValueError):
            done = processor.image_processor(images=[image], patch_size=patch, return_tensors="pt")
        return {name: done[name] for name in ("pixel_values", "image_sizes")}

    @property
    def _side(self) -> int:
        """Width of a visual token in pixels."""
        config = self.model.config
        return int(getattr(config, "spatial_merge_size", 1) * config.vision_config.patch_size)

    def _grid(self, pixels: Mapping[str, Tensor]) -> tuple[int, int]:
        """Rows and columns of visual tokens."""
        height, width = pixels["image_sizes"][0].tolist()
        return height // self._side, width // self._side

    def visual_count(self, pixels: Mapping[str, Tensor]) -> int:
        rows, columns = self._grid(pixels)
        return rows * columns

    def layout(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> Layout:
        rows, columns = self._grid(pixels)
        side = float(self._side)
        frame = Frame(columns * side / size[0], rows * side / size[1], 0, 0)
        return grid_layout(size, frame, (rows, columns), side)

    def encode_images(
        self, pixels: Sequence[Mapping[str, Tensor]]
    ) -> list[Float[Tensor, "token d_model"]]:
        # One by one, since together they would be padded to one size.
        return [self._encoded(image) for image in pixels]

    def _encoded(self, pixels: Mapping[str, Tensor]) -> Float[Tensor, "token d_model"]:
        """The visual tokens of all images in `pixels`, which do not attend to each other."""
        tower = next(self.model.model.vision_tower.parameters())
        encode: Any = self.model.model.get_image_features
        features = encode(
            pixel_values=pixels["pixel_values"].to(tower.device, tower.dtype),
            image_sizes=pixels["image_sizes"].to(tower.device),
            return_dict=True,
        )
        return torch.cat(list(features.pooler_output)).to(self.device, self.dtype)


class Mistral3Adapter(PixtralAdapter):
    """`Mistral3ForConditionalGeneration`: like Pixtral, with squares of patches merged.

    A visual token is a square of `spatial_merge_size` x `spatial_merge_size` patches.

    Source: the library's `modeling_mistral3.py` (`Mistral3PatchMerger`).
    """

    family: ClassVar[str] = "Mistral 3"
    model_types: ClassVar[tuple[str, ...]] = ("mistral3",)

    def _encoded(self, pixels: Mapping[str, Tensor]) -> Float[Tensor, "token d_model"]:
        if self.visual_count(pixels) > 1:
            return super()._encoded(pixels)
        # The library fails on a single visual token (it squeezes away the axis of tokens), so the
        # image is encoded together with a copy of itself.
        pair = {name: torch.cat([value, value]) for name, value in pixels.items()}
        return super()._encoded(pair)[:1]
