"""The visual interfaces of `retinoscope.interfaces` in front of a language model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from ..interfaces import MODEL_TYPE, InterfaceTokens, VisualInterface
from ._adapter import Adapter
from ._blip2 import Blip2Adapter
from ._clip_geometry import clip_frame
from ._layout import Layout, SoftOrigin, chosen_layout, grid_layout


class InterfaceAdapter(Blip2Adapter):
    """`InterfaceForConditionalGeneration`: prompts as in BLIP-2, tokens from any interface.

    Tokens of patches have their boxes; those of queries are unplaced, with `soft_origin`. Where
    images have different numbers of tokens, a prompt has as many placeholders as its image needs;
    `pixels` then holds the "home" of each token, the patch that it stands for.
    """

    family: ClassVar[str] = "Visual interface"
    model_types: ClassVar[tuple[str, ...]] = (MODEL_TYPE,)

    @property
    def interface(self) -> VisualInterface:
        """The interface in front of the language model."""
        model: Any = self.model
        return model.interface

    @property
    def _tower(self) -> Any:
        return self.interface

    @property
    def n_queries(self) -> int:
        return self.interface.n_tokens

    def visual_count(self, pixels: Mapping[str, Tensor]) -> int:
        return len(pixels["home"]) if self.interface.varies else self.n_queries

    def _pixels(self, done: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        pixels = super()._pixels(done)
        if not self.interface.varies:
            return pixels
        tokens = self._encode(pixels)
        assert tokens.home is not None
        return {**pixels, "home": tokens.home[tokens.there].cpu()}

    def _preprocess(self, image: Image.Image) -> Mapping[str, Tensor]:
        done = self.processor.image_processor(images=[image], return_tensors="pt")
        return self._pixels(done)

    def _features(self, pixels: Mapping[str, Tensor]) -> Float[Tensor, "token d_model"]:
        if not self.interface.varies:
            return super()._features(pixels)
        tokens = self._encode(pixels)
        return tokens.embeddings[tokens.there].to(self.device, self.dtype)

    def _encode(self, pixels: Mapping[str, Tensor], *, origin: bool = False) -> InterfaceTokens:
        weights = next(self.interface.parameters())
        seen = pixels["pixel_values"][None].to(weights.device, weights.dtype)
        return self.interface.encode(seen, origin=origin)

    def layout(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> Layout:
        if self.interface.varies:
            return chosen_layout(self._patches(size, 0), pixels["home"].numpy())
        if self.interface.leading is None:
            return super().layout(size, pixels)
        return self._patches(size, self.interface.leading)

    def patch_layout(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> Layout:
        return self._patches(size, 0)

    def _patches(self, size: tuple[int, int], leading: int) -> Layout:
        """The tower's patches after `leading` tokens without a place."""
        shape = self.interface.shape
        frame = clip_frame(size, self.processor.image_processor)
        return grid_layout(size, frame, (shape.grid, shape.grid), float(shape.patch), leading)

    @torch.no_grad()
    def soft_origin(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> SoftOrigin:
        if self.interface.leading is not None or self.interface.varies:
            return Adapter.soft_origin(self, size, pixels)
        origin = self._encode(pixels, origin=True).origin
        assert origin is not None
        return SoftOrigin(origin[0].float(), self.patch_layout(size, pixels))
