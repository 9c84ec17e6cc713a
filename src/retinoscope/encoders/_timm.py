"""timm's vision transformers as encoders, if timm is installed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from ..data import ImageSource, open_image
from ..errors import CapabilityError, InputError, MissingExtraError
from ..models import Layout, clip_frame, finite, grid_layout, in_turn, not_finite, refuse_large
from ._blocks import find_blocks, watching
from ._encoder import Encoder, numbered
from ._features import Features
from ._places import confirm_places, features_at, patch_tokens, picture

PREFIX = "timm:"
_TRIED = (320, 256)


class TimmEncoder(Encoder):
    """A timm model whose blocks all see the same patches; layers as in `TowerEncoder`.

    timm's own transform resizes the image, keeping its aspect, to the size in the model's data
    configuration, and crops it at the centre.
    """

    def __init__(self, name: str, *, pretrained: bool = True) -> None:
        """Raises:
        MissingExtraError: timm is not installed (or cannot be imported).
        InputError: no model of that name, or no weights for it.
        CapabilityError: a model without one grid of patches.
        """
        try:
            timm: Any = import_module("timm")
            data: Any = import_module("timm.data")
        except Exception as error:
            raise MissingExtraError("timm", "timm") from error
        self.name = name if name.startswith(PREFIX) else PREFIX + name
        short = self.name.removeprefix(PREFIX)
        try:
            self.model: Any = timm.create_model(short, pretrained=pretrained, num_classes=0).eval()
        except Exception as error:
            raise InputError(f"{self.name}: expected a model of timm, got {error}") from error
        self._data = data.resolve_model_data_config(self.model)
        self._transform: Any = data.create_transform(**self._data, is_training=False)
        self.settings = {"dtype": "float32"}
        self._blocks = find_blocks(self.model)
        self.parts = {"vision": numbered("vision", len(self._blocks) + 1)}
        try:
            self._confirm()
        except CapabilityError as error:
            raise CapabilityError(
                f"{self.name}: {error}: use a vision transformer such as timm:vit_base_patch16_224"
            ) from None

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        return (self.model,)

    def _facts(self) -> Any:
        return ["timm", self.name, {key: repr(self._data[key]) for key in sorted(self._data)}]

    @torch.no_grad()
    def features(self, image: ImageSource, layers: Sequence[str] | None = None) -> Features:
        names = self.chosen(layers)
        layout, seen = self._passed(open_image(image))
        outputs = dict(zip(self.layers, seen, strict=True))
        return features_at(layout, {name: outputs[name] for name in names})

    @in_turn(lambda self: self.model)
    @torch.no_grad()
    def _passed(self, image: Image.Image) -> tuple[Layout, list[Tensor]]:
        height, width = self._data["input_size"][-2:]
        shortest = int(min(height, width) / self._data["crop_pct"])
        refuse_large(image.size, _Crop(shortest, height, width))
        pixels = self._transform(image)[None]
        with watching(self._blocks) as seen:
            self.model.forward_features(pixels)
        if len(seen) != len(self.layers):
            raise CapabilityError("its blocks do not run exactly once each")
        if not finite(seen[-1]):
            again = partial(self.model.forward_features, pixels)
            raise not_finite(self.model, "an image's features", again)
        return self._layout(image.size, pixels), seen

    def _layout(self, size: tuple[int, int], pixels: Tensor) -> Layout:
        embed = getattr(self.model, "patch_embed", None)
        patch = getattr(embed, "patch_size", None)
        if patch is None or len({*patch}) != 1 or self._data["crop_mode"] != "center":
            raise CapabilityError("its patches or its crop are not supported here")
        height, width = pixels.shape[-2:]
        shortest = int(min(height, width) / self._data["crop_pct"])
        frame = clip_frame(size, _Crop(shortest, height, width))
        return grid_layout(size, frame, (height // patch[0], width // patch[1]), float(patch[0]))

    def _confirm(self) -> None:
        image = picture(_TRIED)

        def embedded(image: Image.Image) -> Tensor:
            layout, seen = self._passed(image)
            assert layout.grid is not None
            tokens = [patch_tokens(states, layout.grid, "its blocks") for states in seen]
            return tokens[0]

        layout, _ = self._passed(image)
        confirm_places(embedded, image, layout.boxes)


class _Crop:
    """timm's resize and crop, in terms of an image processor."""

    do_resize = True
    do_center_crop = True

    def __init__(self, shortest: int, height: int, width: int) -> None:
        self.size = {"shortest_edge": shortest}
        self.crop_size = {"height": height, "width": width}
