"""Ovis2: visual tokens are mixtures of a visual vocabulary, separated by learned indicators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from transformers import PreTrainedModel, ProcessorMixin

from ..errors import CapabilityError
from ._adapter import Formatted, Inputs
from ._layout import Frame, Layout, grid_layout, joined_layout, unplaced_layout
from ._placeholder import PlaceholderAdapter

_INDICATORS = ("<IMG_START>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>")


class Ovis2Adapter(PlaceholderAdapter):
    """`Ovis2ForConditionalGeneration`.

    A frame is the whole image stretched to the processor's size; if the processor crops, a grid of
    tiles follows, row by row. Each patch becomes a distribution over the visual vocabulary and
    thereby a mixture of its embeddings. Indicators start, separate and end the frames: learned
    vectors of the same vocabulary, which are unplaced visual tokens.

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
                "agree: set tokenize_function to 'softmax' or 'st_argmax'"
            )

    # Images

    def _preprocess(self, image: Image.Image) -> Mapping[str, Tensor]:
        done = self.processor.image_processor(images=[image], return_tensors="pt")
        return {"pixel_values": done["pixel_values"], "grids": torch.as_tensor(done["grids"])}

    @property
    def _stride(self) -> int:
        """Width of a visual token in pixels of a frame."""
        vision = self.model.config.vision_config
        return int(vision.patch_size * vision.hidden_stride)

    def _side(self, pixels: Mapping[str, Tensor]) -> int:
        """Number of visual tokens along a frame."""
        vision = self.model.config.vision_config
        return pixels["pixel_values"].shape[-1] // vision.patch_size // vision.hidden_stride

    def visual_count(self, pixels: Mapping[str, Tensor]) -> int:
        """The number of visual tokens, without the indicators."""
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
        tiles: list[int] = []
        for part in self._order(pixels):
            tiles.append(-1 if isinstance(part, str) else part)
            if isinstance(part, str):
                parts.append(unplaced_layout(size, 1))
            elif part == 0:
                parts.append(self._frame(size, pixels, (1, 1), 0, 0))
            else:
                row, column = divmod(part - 1, n_columns)
                parts.append(self._frame(size, pixels, (n_rows, n_columns), row, column))
        side = self._side(pixels)
        return joined_layout(
            parts, tiles, (side, side) if len(pixels["pixel_values"]) == 1 else None
        )

    def _frame(
        self,
        size: tuple[int, int],
        pixels: Mapping[str, Tensor],
        tiles: tuple[int, int],
        row: int,
        column: int,
    ) -> Layout:
        """One frame: the tile at `row` and `column` among `tiles`."""
        width, height = size
        high, wide = pixels["pixel_values"].shape[-2:]
        frame = Frame(wide * tiles[1] / width, high * tiles[0] / height, wide * column, high * row)
        side = self._side(pixels)
        return grid_layout(size, frame, (side, side), float(self._stride))

    def encode_images(
        self, pixels: Sequence[Mapping[str, Tensor]]
    ) -> list[Float[Tensor, "token d_model"]]:
        tower = next(self.model.model.vision_tower.parameters())
        encode: Any = self.model.model.get_image_features
        places: dict[str, int] = dict(zip(_INDICATORS, self._indicators, strict=True))
        features_of: list[Tensor] = []
        for image in pixels:
            done = encode(
                pixel_values=image["pixel_values"].to(tower.device, tower.dtype), return_dict=True
            )
            marks = done.visual_indicator_features
            parts = [
                marks[places[part]][None] if isinstance(part, str) else done.pooler_output[part]
                for part in self._order(image)
            ]
            features_of.append(torch.cat(parts).to(self.device, self.dtype))
        return features_of

    @property
    def _indicators(self) -> list[int]:
        """The place of each indicator among the learned vectors.

        Raises:
            CapabilityError: the tokenizer's ids differ from the model's.
        """
        ids = [int(ident) for ident in self.model.config.visual_indicator_token_ids]
        known = [self.tokenizer.convert_tokens_to_ids(name) for name in _INDICATORS]
        if not set(known) <= set(ids):
            raise CapabilityError(
                f"the tokenizer's ids of the visual indicators are {known}, the model's {ids}: the "
                "processor belongs to another model"
            )
        return [ids.index(ident) for ident in known]

    # Text

    def prepare(self, images: Sequence[Image.Image], formatted: Formatted) -> Inputs:
        inputs = super().prepare(images, formatted)
        # One indicator precedes frame 0's first token and two or more follow its last.
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
                    "the processor writes its visual indicators in an unexpected order: use a "
                    "current version of transformers"
                )
        return replace(inputs, image_positions=spans)
