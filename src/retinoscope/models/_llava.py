"""LLaVA-1.5 and similar models: a vision tower, a projector, and a causal decoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from ..errors import CapabilityError
from ._clip_geometry import clip_frame
from ._layout import Layout, grid_layout
from ._placeholder import PlaceholderAdapter


class LlavaAdapter(PlaceholderAdapter):
    """`LlavaForConditionalGeneration` with a vision tower of a fixed image size (CLIP, SigLIP).

    Source: Liu et al. 2023, "Improved Baselines with Visual Instruction Tuning".
    """

    family: ClassVar[str] = "LLaVA-1.5"
    model_types: ClassVar[tuple[str, ...]] = ("llava",)

    @property
    def _vision_config(self) -> Any:
        return self.model.config.vision_config

    @cached_property
    def _has_class_token(self) -> bool:
        tower: Any = self.model.model.vision_tower
        names = (name for name, _ in tower.named_parameters())
        return any(name.endswith(("class_embedding", "cls_token")) for name in names)

    @property
    def _drops_first(self) -> bool:
        """Whether the model drops the vision tower's first feature."""
        return self.model.config.vision_feature_select_strategy == "default"

    @cached_property
    def _leading(self) -> int:
        """The number of visual tokens before the grid: the class token, unless it is dropped."""
        if self._drops_first and not self._has_class_token:
            raise CapabilityError(
                "this model drops the first visual feature although its vision tower has no class "
                "token, which loses one patch: set vision_feature_select_strategy to 'full'"
            )
        return int(self._has_class_token and not self._drops_first)

    # Images

    def _preprocess(self, image: Image.Image) -> Mapping[str, Tensor]:
        done = self.processor.image_processor(images=[image], return_tensors="pt")
        return {"pixel_values": done["pixel_values"][0]}

    def _grid(self, pixels: Mapping[str, Tensor]) -> tuple[int, int]:
        height, width = pixels["pixel_values"].shape[-2:]
        patch = int(self._vision_config.patch_size)
        return height // patch, width // patch

    def visual_count(self, pixels: Mapping[str, Tensor]) -> int:
        rows, columns = self._grid(pixels)
        return self._leading + rows * columns

    def layout(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> Layout:
        frame = clip_frame(size, self.processor.image_processor)
        patch = float(self._vision_config.patch_size)
        return grid_layout(size, frame, self._grid(pixels), patch, self._leading)

    def encode_images(
        self, pixels: Sequence[Mapping[str, Tensor]]
    ) -> list[Float[Tensor, "token d_model"]]:
        tower = next(self.model.model.vision_tower.parameters())
        batch = torch.stack([image["pixel_values"] for image in pixels])
        encode: Any = self.model.get_image_features
        features = encode(
            pixel_values=batch.to(device=tower.device, dtype=tower.dtype), return_dict=True
        ).pooler_output
        return [image.to(device=self.device, dtype=self.dtype) for image in features]

    # Text

    def _token_ids(
        self, images: Sequence[Image.Image], counts: Sequence[int], text: str, special: bool
    ) -> list[int]:
        # Not with the processor: those saved by older versions of the library lack the patch size
        # and the class token, and it would preprocess every image once more.
        first, *pieces = text.split(self._placeholder)
        expanded = (self._placeholder * n + piece for n, piece in zip(counts, pieces, strict=True))
        done = self.tokenizer(first + "".join(expanded), add_special_tokens=special)
        return list(done["input_ids"])
