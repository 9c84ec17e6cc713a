"""Idefics3 and SmolVLM: large images as square tiles, named in the text, and a global image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from ._layout import Layout
from ._placeholder import PlaceholderAdapter
from ._resized import refused_by_processor
from ._tiles import tiled_layout


class Idefics3Adapter(PlaceholderAdapter):
    """`Idefics3ForConditionalGeneration`.

    An image is stretched until its sides are multiples of a tile, and cut; the whole image, shrunk
    to one tile, follows as the last tile of the layout. An image no larger than a tile, or any
    image without image splitting, is only shrunk to one tile. The connector folds squares of
    `scale_factor` x `scale_factor` patches into one visual token. The tokens between tiles, such as
    <row_1_col_2> and <global-img>, are ordinary text.

    Source: Laurençon et al. 2024, "Building and better understanding vision-language models",
    sections 3.1 and 4.
    """

    family: ClassVar[str] = "Idefics3"
    model_types: ClassVar[tuple[str, ...]] = ("idefics3",)

    @property
    def language_model(self) -> nn.Module:
        core: Any = self.model.model
        return core.text_model

    # Images

    def _preprocess(self, image: Image.Image) -> Mapping[str, Tensor]:
        with refused_by_processor(image, RuntimeError, ValueError):
            done = self.processor.image_processor(
                images=[image], return_row_col_info=True, return_tensors="pt"
            )
        # The processor reports zero tiles if the image stays whole.
        tiles = [max(1, int(done[name][0][0])) for name in ("rows", "cols")]
        kept = ("pixel_values", "pixel_attention_mask")
        return {
            **{name: done[name] for name in kept if name in done},
            "tiles": torch.tensor(tiles),
        }

    @property
    def _side(self) -> int:
        """Width of a visual token in pixels."""
        config = self.model.config
        return int(config.scale_factor * config.vision_config.patch_size)

    def _grids(self, pixels: Mapping[str, Tensor]) -> list[tuple[int, int]]:
        """Rows and columns of visual tokens of each tile."""
        n_tiles, _, height, width = pixels["pixel_values"].shape[1:]
        return [(height // self._side, width // self._side)] * n_tiles

    def visual_count(self, pixels: Mapping[str, Tensor]) -> int:
        return sum(rows * columns for rows, columns in self._grids(pixels))

    def layout(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> Layout:
        rows, columns = pixels["tiles"].tolist()
        return tiled_layout(size, (rows, columns), self._grids(pixels), float(self._side))

    def encode_images(
        self, pixels: Sequence[Mapping[str, Tensor]]
    ) -> list[Float[Tensor, "token d_model"]]:
        tower = next(self.model.model.vision_model.parameters())
        encode: Any = self.model.model.get_image_features
        features_of: list[Tensor] = []
        for image in pixels:
            mask = image.get("pixel_attention_mask")
            features = encode(
                pixel_values=image["pixel_values"].to(tower.device, tower.dtype),
                pixel_attention_mask=None if mask is None else mask.to(tower.device),
                return_dict=True,
            )
            features_of.append(torch.cat(list(features.pooler_output)).to(self.device, self.dtype))
        return features_of


class SmolVLMAdapter(Idefics3Adapter):
    """`SmolVLMForConditionalGeneration`: like Idefics3, with a smaller decoder and larger squares.

    Source: Marafioti et al. 2025, "SmolVLM: Redefining small and efficient multimodal models",
    section 2.
    """

    family: ClassVar[str] = "SmolVLM"
    model_types: ClassVar[tuple[str, ...]] = ("smolvlm",)
