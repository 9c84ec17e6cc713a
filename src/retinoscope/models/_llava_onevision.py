"""LLaVA-OneVision: tiles as in LLaVA-NeXT, their features resized where there are too many."""

from __future__ import annotations

import re
from math import sqrt
from typing import ClassVar

from transformers import PreTrainedModel, ProcessorMixin

from ..errors import CapabilityError, InputError
from ._llava_next import LlavaNextAdapter


class LlavaOnevisionAdapter(LlavaNextAdapter):
    """`LlavaOnevisionForConditionalGeneration`, images only.

    As LLaVA-NeXT, but where the tiles have more features than `vision_aspect_ratio` allows, their
    grid is resized bilinearly to fewer columns and rows. A visual token of such a grid is the
    weighted mean of the (at most four) patches around the centre of its cell. Its box is that cell:
    the whole grid divided evenly into as many cells as there are tokens, so that boxes do not
    overlap and each pixel belongs to one of them; the patches that are read can reach beyond the
    cell by less than one patch, as the kernel of any resizing does. (With more than twice as many
    features along a side as tokens, which no released model has, patches between the cells' centres
    are read by no token.)

    Several images in one prompt are each cut into tiles, as the processor does with a flat list.

    Source: Li et al. 2024, "LLaVA-OneVision: Easy Visual Task Transfer", section 3.2 (AnyRes with
    bilinear interpolation).
    """

    family: ClassVar[str] = "LLaVA-OneVision"
    model_types: ClassVar[tuple[str, ...]] = ("llava_onevision",)

    def __init__(self, model: PreTrainedModel, processor: ProcessorMixin) -> None:
        super().__init__(model, processor)
        ratio = str(model.config.vision_aspect_ratio)
        found = re.fullmatch(r"anyres_max_(\d+)", ratio)
        if found is None:
            raise CapabilityError(
                f"expected a vision_aspect_ratio such as 'anyres_max_9', got {ratio!r}: how many "
                "visual tokens an image has is not known"
            )
        self._max_tiles = int(found[1])

    def _shape(self, columns: int, rows: int) -> tuple[int, int]:
        ratio = sqrt(rows * columns / (self._max_tiles * self._per_side**2))
        if ratio <= 1.1:
            return columns, rows
        shape = int(columns // ratio), int(rows // ratio)
        if min(shape) < 1:
            raise InputError(
                f"expected an image that is not so long, got one with {columns} x {rows} features, "
                "which the model cannot make fewer: crop it"
            )
        return shape
