"""Vision-only and contrastive models of transformers as encoders: ViT, DINOv2, CLIP, SigLIP, ..."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..data import ImageSource, open_image
from ..errors import CapabilityError, InputError
from ..models import (
    Layout,
    clip_frame,
    described,
    finite,
    grid_layout,
    in_turn,
    not_finite,
    refuse_large,
    refuse_training,
)
from ._blocks import find_blocks, watching
from ._encoder import Encoder, numbered
from ._features import Features
from ._places import confirm_places, features_at, patch_tokens, picture

_TRIED = (320, 256)


class TowerEncoder(Encoder):
    """The vision tower of a transformers model without a decoder.

    Its layers are "vision.0" (after the embeddings and their norm, if any) to "vision.L" (the last
    block's output, before any final norm): the library's first L `hidden_states` and, unless it is
    normed, the last one. Class tokens and registers before the patches are dropped.
    """

    def __init__(self, model: PreTrainedModel, processor: Any, name: str, enlarge: int = 1) -> None:
        """Verifies the tower and its geometry on the model itself.

        Args:
            processor: its image processor, or one that contains it.
            enlarge: the factor by which the number of pixels along each side grows; position
                embeddings are then interpolated by the model itself.

        Raises:
            InputError: a model in training mode, or `enlarge` below 1.
            CapabilityError: tokens that do not correspond to patches of the image one to one.
        """
        refuse_training(model)
        self.model, self.name = model, name
        # A processor for images and text contains the image processor.
        self.images: Any = getattr(processor, "image_processor", processor)
        self._loaded_with, self._enlarge = self.images, enlarge
        if enlarge < 1 or enlarge != int(enlarge):
            raise InputError(f"expected a whole number from 1 on as enlarge, got {enlarge}")
        self._interpolated = {"interpolate_pos_encoding": True} if enlarge > 1 else {}
        if enlarge > 1:
            self.images = _enlarged(self.images, enlarge)
        self.tower: Any = getattr(model, "vision_model", model)
        self.settings = {"dtype": str(self._dtype).removeprefix("torch.")}
        self._blocks = find_blocks(self.tower)
        self.parts = {"vision": numbered("vision", len(self._blocks) + 1)}
        try:
            self._confirm()
        except CapabilityError as error:
            raise CapabilityError(
                f"{type(model).__name__}: {error}: use a model whose blocks all see the same "
                "patches (ViT, DeiT, BEiT, DINOv2, CLIP, SigLIP)"
            ) from None

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        return (self.tower,)

    def with_model(self, model: PreTrainedModel) -> TowerEncoder:
        """The same processing of images for another model of this architecture."""
        return TowerEncoder(model, self._loaded_with, self.name, self._enlarge)

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.tower.parameters()).dtype

    def _facts(self) -> Any:
        kind = type(self.tower).__name__
        return ["tower", kind, described(self.tower.config), described(self.images)]

    @torch.no_grad()
    def features(self, image: ImageSource, layers: Sequence[str] | None = None) -> Features:
        names = self.chosen(layers)
        opened = open_image(image)
        layout, seen, _ = self.passed(opened)
        outputs = dict(zip(self.layers, seen, strict=True))
        return features_at(layout, {name: outputs[name] for name in names})

    @in_turn(lambda self: self.model)
    @torch.no_grad()
    def passed(self, image: Image.Image) -> tuple[Layout, list[Tensor], Any]:
        """One pass of the tower: layout of the patches, its blocks' outputs, and its own output."""
        pixels = self.pixels(image)
        with watching(self._blocks) as seen:
            output = self.run(pixels)
        if len(seen) != len(self.layers):
            raise CapabilityError("its blocks do not run exactly once each")
        if not finite(seen[-1]):
            raise not_finite(self.model, "an image's features", lambda: self.run(pixels))
        return self._layout(image.size, pixels), seen, output

    def run(self, pixels: Float[Tensor, "1 3 height width"]) -> Any:
        """The tower's output for pixels.

        Raises:
            CapabilityError: an enlarged image and a tower that cannot interpolate its positions.
        """
        try:
            return self.tower(pixel_values=pixels, **self._interpolated)
        except TypeError as error:
            if not self._interpolated:
                raise
            raise CapabilityError(
                "it cannot interpolate its position embeddings, so it accepts one image size only"
            ) from error

    def pixels(self, image: Image.Image) -> Float[Tensor, "1 3 height width"]:
        """The tower's input for one image.

        Raises:
            InputError: an image that the processor would make too large.
        """
        refuse_large(image.size, self.images)
        done = self.images(images=[image], return_tensors="pt")["pixel_values"]
        if done.ndim != 4 or len(done) != 1:
            raise CapabilityError(
                f"its image processor gives pixels of shape {tuple(done.shape)}, not one image"
            )
        return done.to(device=next(self.tower.parameters()).device, dtype=self._dtype)

    def _layout(self, size: tuple[int, int], pixels: Tensor) -> Layout:
        patch = getattr(self.tower.config, "patch_size", None)
        sides = set(patch) if isinstance(patch, list | tuple) else {patch}
        side = sides.pop()
        if sides or not isinstance(side, int):
            raise CapabilityError(f"its patch size is {patch}, not one number of pixels")
        height, width = pixels.shape[-2:]
        grid = height // side, width // side
        return grid_layout(size, clip_frame(size, self.images), grid, float(side))

    def _confirm(self) -> None:
        image = picture(_TRIED)
        layout, seen, _ = self.passed(image)
        assert layout.grid is not None
        for name, hidden in zip(self.layers, seen, strict=True):
            patch_tokens(hidden, layout.grid, name)

        def embedded(image: Image.Image) -> Tensor:
            layout, seen, _ = self.passed(image)
            assert layout.grid is not None
            return patch_tokens(seen[0], layout.grid, self.layers[0])

        confirm_places(embedded, image, layout.boxes)


def _enlarged(images: Any, times: int) -> Any:
    """A copy of an image processor whose output has `times` as many pixels along each side."""
    larger = copy.deepcopy(images)
    for name in ("size", "crop_size"):
        sides = getattr(images, name, None)
        if sides is not None:
            sides = {key: value * times for key, value in dict(sides).items() if value is not None}
            setattr(larger, name, type(getattr(images, name))(**sides))
    return larger
