"""LLaVA-OneVision: tiles as in LLaVA-NeXT, with features resized if there are too many."""

from __future__ import annotations

import re
from math import sqrt
from typing import ClassVar

from transformers import PreTrainedModel, ProcessorMixin

from ..errors import CapabilityError, InputError
from ._llava_next import LlavaNextAdapter


class LlavaOnevisionAdapter(LlavaNextAdapter):
    """`LlavaOnevisionForConditionalGeneration`, images only.

    Like LLaVA-NeXT, but if the tiles have more features than `vision_aspect_ratio` allows, their
    grid is resized bilinearly to fewer columns and rows. A visual token of such a grid is the
    weighted mean of the (at most four) patches around the centre of its cell. Its box is that cell:
    the whole grid divided evenly among the tokens, so that boxes do not overlap and each pixel
    belongs to one of them; as with any resizing kernel, the patches that are read may extend beyond
    the cell, by less than one patch. (With more than twice as many features along a side as tokens,
    as in no released model, some patches between the cells' centres are read by no token.)

    Several images in one prompt are each cut into tiles, as the processor does with a flat list.

    Source: Li et al. 2024, "LLaVA-OneVision: Easy Visual Task Transfer", section 3.2 (AnyRes with
    bilinear interpolation).
    """

    family: ClassVar[str] = "LLaVA-OneVision"
    model_types: ClassVar[tuple[str, ...]] = ("llava_onevision",)

    def __init__(self, model: PreTrainedModel, processor: ProcessorMixin) -> None:
        super().__init__(model, processor)
        ratio = str(model.config.vision_aspect_ratio)
        match = re.fullmatch(r"anyres_max_(\d+)", ratio)
        if match is None:
            raise CapabilityError(
                f"expected a vision_aspect_ratio such as 'anyres_max_9', got {ratio!r}: the number "
                "of visual tokens of an image is unknown"
            )
        self._max_tiles = int(match[1])

    def _shape(self, columns: int, rows: int) -> tuple[int, int]:
        ratio = sqrt(rows * columns / (self._max_tiles * self._per_side**2))
        if ratio <= 1.1:
            return columns, rows
        shape = int(columns // ratio), int(rows // ratio)
        if min(shape) < 1:
            raise InputError(
                f"expected a less elongated image, got one with {columns} x {rows} features, "
                "whose number the model cannot reduce: crop it"
            )
        return shape
