"""Gemma 3: the tokens of one image attend to each other bidirectionally, the rest causally."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from transformers import PreTrainedModel, ProcessorMixin

from ..errors import CapabilityError
from ._adapter import Inputs
from ._clip_geometry import clip_frame
from ._layout import Layout, grid_layout
from ._masks import library_masks
from ._placeholder import PlaceholderAdapter


class Gemma3Adapter(PlaceholderAdapter):
    """`Gemma3ForConditionalGeneration`, with an image as one square, without pan and scan.

    The vision tower's patches are averaged in squares to `mm_tokens_per_image` visual tokens.

    Source: Gemma Team 2025, "Gemma 3 Technical Report", section 2.1.
    """

    family: ClassVar[str] = "Gemma 3"
    model_types: ClassVar[tuple[str, ...]] = ("gemma3",)

    def __init__(self, model: PreTrainedModel, processor: ProcessorMixin) -> None:
        super().__init__(model, processor)
        self._refuse_crops()

    def _refuse_crops(self) -> None:
        """Checked again later: the processor is the user's, who can enable crops at any time."""
        if getattr(self.processor.image_processor, "do_pan_and_scan", False):
            raise CapabilityError(
                "the processor cuts elongated images into further crops (pan and scan), which is "
                "not supported: set processor.image_processor.do_pan_and_scan = False"
            )

    @property
    def _placeholder(self) -> str:
        # In a prompt an image is its begin token, which the processor expands.
        processor: Any = self.processor
        return str(processor.boi_token)

    # Images

    def _preprocess(self, image: Image.Image) -> Mapping[str, Tensor]:
        self._refuse_crops()
        done = self.processor.image_processor(images=[image], return_tensors="pt")
        return {"pixel_values": done["pixel_values"]}

    @property
    def _side(self) -> int:
        return int(self.model.config.mm_tokens_per_image**0.5)

    def visual_count(self, pixels: Mapping[str, Tensor]) -> int:
        return self._side**2

    def layout(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> Layout:
        frame = clip_frame(size, self.processor.image_processor)
        vision = self.model.config.vision_config
        # As in the projector's average pooling: patches that fill no square are dropped.
        merged = vision.image_size // vision.patch_size // self._side
        patch = float(merged * vision.patch_size)
        return grid_layout(size, frame, (self._side, self._side), patch)

    def encode_images(
        self, pixels: Sequence[Mapping[str, Tensor]]
    ) -> list[Float[Tensor, "token d_model"]]:
        tower = next(self.model.model.vision_tower.parameters())
        batch = torch.cat([image["pixel_values"] for image in pixels])
        encode: Any = self.model.model.get_image_features
        features = encode(pixel_values=batch.to(tower.device, tower.dtype), return_dict=True)
        return [image.to(self.device, self.dtype) for image in features.pooler_output]

    # Attention

    def arguments(self, inputs: Inputs, start: int, stop: int) -> dict[str, Any]:
        if not inputs.image_positions:
            return {}
        types = torch.zeros(max(stop, len(inputs.input_ids)), dtype=torch.long)
        for places in inputs.image_positions:
            types[list(places)] = 1
        return {"attention_mask": library_masks(self, types[:stop], start)}
