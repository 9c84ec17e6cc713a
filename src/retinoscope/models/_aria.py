"""Aria: learned queries read the image; a mixture of experts reads their tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from ..errors import CapabilityError
from ._blip2 import attention_weights
from ._capabilities import Capabilities
from ._entering import entering, hooked
from ._layout import Frame, Layout, SoftOrigin, grid_layout
from ._placeholder import PlaceholderAdapter

_NO_GRADIENTS = (
    "each token chooses its experts, and another choice makes the logit jump on the way from a "
    "baseline: choose tokens in another way"
)


class AriaAdapter(PlaceholderAdapter):
    """`AriaForConditionalGeneration`.

    The longer side of an image is resized to the processor's size and the rest padded at the right
    and the bottom. Learned queries read the patches in one cross-attention and are the visual
    tokens: unplaced, with `soft_origin` in place of boxes. Their number depends on the size. In the
    decoder each token goes through its own experts; attention is that of a plain decoder.

    Source: Li et al. 2024, "Aria: An Open Multimodal Native Mixture-of-Experts Model", section 2.
    """

    family: ClassVar[str] = "Aria"
    model_types: ClassVar[tuple[str, ...]] = ("aria",)

    # Images

    def _preprocess(self, image: Image.Image) -> Mapping[str, Tensor]:
        call: Any = self.processor
        done = call(text=[self._placeholder], images=[image], return_tensors="pt")
        if len(done["pixel_values"]) != 1:
            raise CapabilityError(
                "the processor cuts images into crops (split_image), which is not supported: set "
                "split_image to False in the processor's settings for images"
            )
        return {name: done[name] for name in ("pixel_values", "pixel_mask")}

    @property
    def _patch(self) -> int:
        return int(self.model.config.vision_config.patch_size)

    def visual_count(self, pixels: Mapping[str, Tensor]) -> int:
        height, width = pixels["pixel_values"].shape[-2:]
        n_patches = (height // self._patch) * (width // self._patch)
        queries: Mapping[int, int] = self.model.config.projector_patch_to_query_dict
        if n_patches not in queries:
            raise CapabilityError(
                f"the processor makes images of {n_patches} patches, and the model has queries for "
                f"{', '.join(map(str, queries))}: the processor belongs to another model"
            )
        return queries[n_patches]

    def layout(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> Layout:
        count = self.visual_count(pixels)
        nowhere = np.full(count, -1)
        return Layout(
            size=size,
            boxes=np.full((count, 4), np.nan),
            rows=nowhere,
            columns=nowhere,
            tiles=np.zeros(count, dtype=int),
            grid=None,
        )

    def patch_layout(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> Layout:
        """Where the vision tower's patches lie, which the queries read; padding is unplaced."""
        height, width = pixels["pixel_values"].shape[-2:]
        mask = pixels["pixel_mask"][0]
        inside_y, inside_x = int(mask[:, 0].sum()), int(mask[0].sum())
        frame = Frame(inside_x / size[0], inside_y / size[1], 0, 0)
        grid = (height // self._patch, width // self._patch)
        return grid_layout(size, frame, grid, float(self._patch))

    def encode_images(
        self, pixels: Sequence[Mapping[str, Tensor]]
    ) -> list[Float[Tensor, "token d_model"]]:
        tower = next(self.model.model.vision_tower.parameters())
        encode: Any = self.model.model.get_image_features
        found: list[Tensor] = []
        for one in pixels:
            features = encode(
                pixel_values=one["pixel_values"].to(tower.device, tower.dtype),
                pixel_mask=one["pixel_mask"].to(tower.device),
                vision_feature_layer=self.model.config.vision_feature_layer,
                return_dict=True,
            )
            found.append(features.pooler_output[0].to(self.device, self.dtype))
        return found

    @torch.no_grad()
    def soft_origin(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> SoftOrigin:
        """Where each visual token's query looked.

        Args:
            size: width and height of the original image: `run.image.size`.
            pixels: the image as the model gets it: `run.inputs.pixels[0]`.
        """
        layout = self.patch_layout(size, pixels)
        reader: Any = self.model.model.multi_modal_projector.cross_attn.multihead_attn
        seen: list[tuple[Tensor, Tensor, Tensor | None]] = []

        def hook(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            seen.append((args[0][0], args[1][0], kwargs.get("attn_mask")))

        with entering(self.model), hooked([reader], before=hook):
            self.encode_images([pixels])
        query, key, hidden = seen[-1]
        width = query.shape[-1]
        weight, bias = reader.in_proj_weight, reader.in_proj_bias
        weights = attention_weights(
            torch.nn.functional.linear(query, weight[:width], bias[:width]),
            torch.nn.functional.linear(key, weight[width : 2 * width], bias[width : 2 * width]),
            int(reader.num_heads),
            None if hidden is None else hidden[0],
        )
        return SoftOrigin(weights.float().mean(0), layout)

    # Limits

    def capabilities(self) -> Capabilities:
        return super().capabilities().refusing("gradients", _NO_GRADIENTS)
