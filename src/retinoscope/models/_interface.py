"""The visual interfaces of `retinoscope.interfaces` in front of a language model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..interfaces import MODEL_TYPE, VisualInterface
from ._adapter import Adapter
from ._blip2 import Blip2Adapter
from ._clip_geometry import clip_frame
from ._layout import Layout, SoftOrigin, grid_layout


class InterfaceAdapter(Blip2Adapter):
    """`InterfaceForConditionalGeneration`: prompts as in BLIP-2, tokens from any interface.

    Tokens of patches have their boxes; those of queries are unplaced, with `soft_origin`.
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

    def layout(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> Layout:
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
        if self.interface.leading is not None:
            return Adapter.soft_origin(self, size, pixels)
        tower = next(self.interface.parameters())
        seen = pixels["pixel_values"][None].to(tower.device, tower.dtype)
        origin = self.interface.encode(seen, origin=True).origin
        assert origin is not None
        return SoftOrigin(origin[0].float(), self.patch_layout(size, pixels))
