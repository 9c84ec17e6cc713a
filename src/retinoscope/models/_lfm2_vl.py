"""LFM2-VL: short convolutions between the attention layers; large images as tiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from ..errors import CapabilityError
from ._capabilities import Capabilities, Capability
from ._decoder import Decoder
from ._layout import Layout
from ._placeholder import PlaceholderAdapter
from ._resized import refuse_larger, refused_by_processor
from ._tiles import tiled_layout

_NOT_INCREMENTAL = (
    "convolutions between the attention layers read earlier positions, which a block called for "
    "some rows lacks: the reference path is used"
)


@dataclass(frozen=True, eq=False)
class Lfm2Decoder(Decoder):
    """A decoder in which only some layers attend."""

    def attention(self, layer: int) -> nn.Module:
        """The attention module of one layer.

        Raises:
            CapabilityError: the layer is a convolution.
        """
        module = getattr(self.layers[layer], "self_attn", None)
        if not isinstance(module, nn.Module):
            raise CapabilityError(
                f"layer {layer} is a convolution and has no attention: choose among the layers "
                f"{', '.join(map(str, self.attending))}"
            )
        return module

    @property
    def attending(self) -> tuple[int, ...]:
        """The layers that attend."""
        return tuple(i for i, block in enumerate(self.layers) if hasattr(block, "self_attn"))


class Lfm2VLAdapter(PlaceholderAdapter):
    """`Lfm2VlForConditionalGeneration`.

    An image is resized so that both sides are multiples of a merged patch. A large one becomes a
    grid of square tiles, row by row, followed by the whole image as a thumbnail, the last tile of
    the layout. Knockouts and attention rows exist at the attention layers only; the convolutions
    still carry information between neighbouring positions.

    Source: Liquid AI 2025, "LFM2 Technical Report", sections on LFM2 and LFM2-VL.
    """

    family: ClassVar[str] = "LFM2-VL"
    model_types: ClassVar[tuple[str, ...]] = ("lfm2_vl",)

    @cached_property
    def decoder(self) -> Lfm2Decoder:
        inner: Any = self.language_model
        return Lfm2Decoder(tuple(inner.layers), inner.embedding_norm)

    # Images

    def refuse_large(self, size: tuple[int, int]) -> None:
        kind: Any = self.processor.image_processor
        if not hasattr(kind, "smart_resize"):
            super().refuse_large(size)
            return
        width, height = kind.smart_resize(
            height=size[1],
            width=size[0],
            downsample_factor=kind.downsample_factor,
            min_image_tokens=kind.min_image_tokens,
            max_image_tokens=kind.max_image_tokens,
            encoder_patch_size=kind.encoder_patch_size,
        )
        # No side becomes shorter than one token, whatever the other.
        refuse_larger(size, (width, height))

    def _preprocess(self, image: Image.Image) -> Mapping[str, Tensor]:
        # An elongated image yields more patches than the processor has room for.
        with refused_by_processor(image, RuntimeError, ValueError):
            done = self.processor.image_processor(
                images=[image], return_row_col_info=True, return_tensors="pt"
            )
        rows, columns = int(done["image_rows"][0]), int(done["image_cols"][0])
        return {
            **{
                name: done[name]
                for name in ("pixel_values", "pixel_attention_mask", "spatial_shapes")
            },
            "tiles": torch.tensor([rows, columns]),
        }

    @property
    def _side(self) -> int:
        """Width of a visual token in pixels."""
        config = self.model.config
        return int(config.downsample_factor * config.vision_config.patch_size)

    def _grids(self, pixels: Mapping[str, Tensor]) -> list[tuple[int, int]]:
        """Rows and columns of visual tokens of each tile."""
        factor = int(self.model.config.downsample_factor)
        return [(h // factor, w // factor) for h, w in pixels["spatial_shapes"].tolist()]

    def visual_count(self, pixels: Mapping[str, Tensor]) -> int:
        return sum(rows * columns for rows, columns in self._grids(pixels))

    def layout(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> Layout:
        rows, columns = pixels["tiles"].tolist()
        return tiled_layout(size, (rows, columns), self._grids(pixels), float(self._side))

    def encode_images(
        self, pixels: Sequence[Mapping[str, Tensor]]
    ) -> list[Float[Tensor, "token d_model"]]:
        tower = next(self.model.model.vision_tower.parameters())
        encode: Any = self.model.model.get_image_features
        features_of: list[Tensor] = []
        for image in pixels:
            features = encode(
                pixel_values=image["pixel_values"].to(tower.device, tower.dtype),
                spatial_shapes=image["spatial_shapes"].to(tower.device),
                pixel_attention_mask=image["pixel_attention_mask"].to(tower.device),
                return_dict=True,
            )
            features_of.append(torch.cat(list(features.pooler_output)).to(self.device, self.dtype))
        return features_of

    # Limits

    def capabilities(self) -> Capabilities:
        done = super().capabilities().refusing("incremental", _NOT_INCREMENTAL)
        where = f"at the attention layers: {', '.join(map(str, self.decoder.attending))}"
        methods = tuple(
            Capability(method.name, True, where)
            if method.supported and method.name in ("knockout", "attention")
            else method
            for method in done.methods
        )
        return replace(done, methods=methods)
