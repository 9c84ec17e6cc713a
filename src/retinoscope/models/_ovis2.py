"""Ovis2: visual tokens are mixtures of a visual vocabulary; learned indicators stand among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from transformers import PreTrainedModel, ProcessorMixin

from ..errors import CapabilityError
from ._adapter import Formatted, Inputs
from ._layout import Frame, Layout, grid_layout
from ._placeholder import PlaceholderAdapter

_INDICATORS = ("<IMG_START>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>")


class Ovis2Adapter(PlaceholderAdapter):
    """`Ovis2ForConditionalGeneration`.

    A frame is the whole image stretched to the processor's size; where the processor crops, it is
    followed by a grid of tiles, row by row. Each patch becomes a distribution over the visual
    vocabulary and thereby a mixture of its embeddings. Indicators begin, separate and end the
    frames: learned vectors of that same vocabulary, which are visual tokens without a place.

    Source: Lu et al. 2024, "Ovis: Structural Embedding Alignment for Multimodal Large Language
    Model", section 3.
    """

    family: ClassVar[str] = "Ovis2"
    model_types: ClassVar[tuple[str, ...]] = ("ovis2",)

    def __init__(self, model: PreTrainedModel, processor: ProcessorMixin) -> None:
        super().__init__(model, processor)
        if getattr(processor.image_processor, "do_center_crop", False):
            raise CapabilityError(
                "the processor crops every frame at its centre, which is not supported: set "
                "processor.image_processor.do_center_crop = False"
            )
        if model.config.vision_config.tokenize_function == "gumbel_argmax":
            raise CapabilityError(
                "the visual tokenizer draws its words at random (gumbel_argmax), so no two passes "
                "are the same: set tokenize_function to 'softmax' or 'st_argmax'"
            )

    # Images

    def _preprocess(self, image: Image.Image) -> Mapping[str, Tensor]:
        done = self.processor.image_processor(images=[image], return_tensors="pt")
        return {"pixel_values": done["pixel_values"], "grids": torch.as_tensor(done["grids"])}

    @property
    def _stride(self) -> int:
        """Pixels of a frame along a visual token."""
        vision = self.model.config.vision_config
        return int(vision.patch_size * vision.hidden_stride)

    def _side(self, pixels: Mapping[str, Tensor]) -> int:
        """Visual tokens along a frame."""
        vision = self.model.config.vision_config
        return pixels["pixel_values"].shape[-1] // vision.patch_size // vision.hidden_stride

    def visual_count(self, pixels: Mapping[str, Tensor]) -> int:
        """Without the indicators."""
        return len(pixels["pixel_values"]) * self._side(pixels) ** 2

    def _order(self, pixels: Mapping[str, Tensor]) -> list[int | str]:
        """Frames by number and indicators by name, as the decoder reads them."""
        n_rows, n_columns = pixels["grids"][0].tolist()
        order: list[int | str] = ["<IMG_START>", 0, "<IMG_GRID>"]
        for tile in range(n_rows * n_columns if n_rows * n_columns > 1 else 0):
            if tile:
                order.append("<IMG_COL>" if tile % n_columns else "<IMG_ROW>")
            order.append(1 + tile)
        return [*order, "<IMG_END>"]

    def layout(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> Layout:
        n_rows, n_columns = pixels["grids"][0].tolist()
        parts: list[Layout] = []
        for one in self._order(pixels):
            if isinstance(one, str):
                parts.append(_indicator(size))
            elif one == 0:
                parts.append(self._frame(size, pixels, (1, 1), 0, 0))
            else:
                row, column = divmod(one - 1, n_columns)
                parts.append(self._frame(size, pixels, (n_rows, n_columns), row, column, one))
        single = len(pixels["pixel_values"]) == 1
        return Layout(
            size=size,
            boxes=np.concatenate([part.boxes for part in parts]),
            rows=np.concatenate([part.rows for part in parts]),
            columns=np.concatenate([part.columns for part in parts]),
            tiles=np.concatenate([part.tiles for part in parts]),
            grid=(self._side(pixels), self._side(pixels)) if single else None,
        )

    def _frame(
        self,
        size: tuple[int, int],
        pixels: Mapping[str, Tensor],
        tiles: tuple[int, int],
        row: int,
        column: int,
        number: int = 0,
    ) -> Layout:
        """One frame: the tile at `row` and `column` of so many tiles."""
        width, height = size
        high, wide = pixels["pixel_values"].shape[-2:]
        frame = Frame(wide * tiles[1] / width, high * tiles[0] / height, wide * column, high * row)
        side = self._side(pixels)
        found = grid_layout(size, frame, (side, side), float(self._stride))
        return replace(found, tiles=np.full(len(found), number))

    def encode_images(
        self, pixels: Sequence[Mapping[str, Tensor]]
    ) -> list[Float[Tensor, "token d_model"]]:
        tower = next(self.model.model.vision_tower.parameters())
        encode: Any = self.model.model.get_image_features
        places: dict[str, int] = dict(zip(_INDICATORS, self._indicators, strict=True))
        found: list[Tensor] = []
        for one in pixels:
            done = encode(
                pixel_values=one["pixel_values"].to(tower.device, tower.dtype), return_dict=True
            )
            marks = done.visual_indicator_features
            parts = [
                marks[places[part]][None] if isinstance(part, str) else done.pooler_output[part]
                for part in self._order(one)
            ]
            found.append(torch.cat(parts).to(self.device, self.dtype))
        return found

    @property
    def _indicators(self) -> list[int]:
        """For each indicator its place among the learned vectors.

        Raises:
            CapabilityError: the tokenizer has another id for it than the model.
        """
        ids = [int(one) for one in self.model.config.visual_indicator_token_ids]
        own = [self.tokenizer.convert_tokens_to_ids(name) for name in _INDICATORS]
        if not set(own) <= set(ids):
            raise CapabilityError(
                f"the tokenizer's ids of the visual indicators are {own}, the model's {ids}: the "
                "processor belongs to another model"
            )
        return [ids.index(one) for one in own]

    # Text

    def prepare(self, images: Sequence[Image.Image], formatted: Formatted) -> Inputs:
        inputs = super().prepare(images, formatted)
        # One indicator stands before the first and two or more after the last token of frame 0.
        spans = tuple(
            tuple(range(places[0] - 1, places[0] - 1 + len(layout)))
            for places, layout in zip(inputs.image_positions, inputs.layouts, strict=True)
        )
        names = {self.tokenizer.convert_tokens_to_ids(name) for name in _INDICATORS}
        for span, places, layout in zip(spans, inputs.image_positions, inputs.layouts, strict=True):
            marks = [place for place, tile in zip(span, layout.tiles, strict=True) if tile < 0]
            if set(marks) | set(places) != set(span) or any(
                int(inputs.input_ids[place]) not in names for place in marks
            ):
                raise CapabilityError(
                    "the processor writes its visual indicators in another order than is known "
                    "here: use a current version of transformers"
                )
        return replace(inputs, image_positions=spans)


def _indicator(size: tuple[int, int]) -> Layout:
    nowhere = np.full(1, -1)
    return Layout(size, np.full((1, 4), np.nan), nowhere, nowhere, nowhere, None)
