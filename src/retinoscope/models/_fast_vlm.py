"""FastVLM: a convolutional vision tower with one large stride, otherwise like LLaVA."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor
from transformers import PreTrainedModel, ProcessorMixin

from ..errors import CapabilityError
from ._clip_geometry import clip_frame
from ._layout import Layout, grid_layout
from ._llava import LlavaAdapter


class FastVlmAdapter(LlavaAdapter):
    """`FastVlmForConditionalGeneration`.

    The vision tower (FastViTHD, which the library takes from the package timm) has no class token.
    A visual token is a cell of its last feature map, which the processor's `patch_size` gives in
    pixels; convolutions and attention let the token see more of the image than its cell.

    Source: Vasu et al. 2024, "FastVLM: Efficient Vision Encoding for Vision Language Models",
    section 3.
    """

    family: ClassVar[str] = "FastVLM"
    model_types: ClassVar[tuple[str, ...]] = ("fast_vlm",)

    def __init__(self, model: PreTrainedModel, processor: ProcessorMixin) -> None:
        super().__init__(model, processor)
        if not getattr(processor, "patch_size", None):
            raise CapabilityError(
                "the processor has no patch_size, so the layout of visual tokens is unknown: set "
                "it to the vision tower's stride in pixels"
            )

    # Images

    def _grid(self, pixels: Mapping[str, Tensor]) -> tuple[int, int]:
        height, width = pixels["pixel_values"].shape[-2:]
        return height // self._patch, width // self._patch

    @property
    def _patch(self) -> int:
        processor: Any = self.processor
        return int(processor.patch_size)

    def layout(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> Layout:
        frame = clip_frame(size, self.processor.image_processor)
        return grid_layout(size, frame, self._grid(pixels), float(self._patch))
