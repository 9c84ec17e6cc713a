"""Aria: learned queries read the image; the decoder is a mixture of experts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from ..errors import CapabilityError
from ..interfaces import attention_weights
from ._capabilities import Capabilities
from ._entering import entering, hooked
from ._layout import Frame, Layout, SoftOrigin, grid_layout, unplaced_layout
from ._placeholder import PlaceholderAdapter

_NO_GRADIENTS = (
    "each token is routed to experts, and the logit jumps where the routing changes on the path "
    "from a baseline: choose tokens in another way"
)


class AriaAdapter(PlaceholderAdapter):
    """`AriaForConditionalGeneration`.

    The longer side of an image is resized to the processor's size, and the rest is padded on the
    right and at the bottom. Learned queries read the patches in one cross-attention and become the
    visual tokens, whose number depends on the size; they are unplaced, with `soft_origin` instead
    of boxes. In the decoder each token goes through its own experts; attention is plain.

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
                "the processor splits images into crops (split_image), which is not supported: set "
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
                f"the processor makes {n_patches} patches of an image, but the model has queries "
                f"for {', '.join(map(str, queries))}: the processor belongs to another model"
            )
        return queries[n_patches]

    def layout(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> Layout:
        return unplaced_layout(size, self.visual_count(pixels))

    def patch_layout(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> Layout:
        """The layout of the vision tower's patches, which the queries read; padding is unplaced."""
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
        features_of: list[Tensor] = []
        for image in pixels:
            features = encode(
                pixel_values=image["pixel_values"].to(tower.device, tower.dtype),
                pixel_mask=image["pixel_mask"].to(tower.device),
                vision_feature_layer=self.model.config.vision_feature_layer,
                return_dict=True,
            )
            features_of.append(features.pooler_output[0].to(self.device, self.dtype))
        return features_of

    @torch.no_grad()
    def soft_origin(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> SoftOrigin:
        """Where each visual token's query looked.

        Args:
            size: width and height of the original image: `run.image.size`.
            pixels: the image as the model receives it: `run.inputs.pixels[0]`.
        """
        layout = self.patch_layout(size, pixels)
        reader: Any = self.model.model.multi_modal_projector.cross_attn.multihead_attn
        calls: list[tuple[Tensor, Tensor, Tensor | None]] = []

        def hook(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            calls.append((args[0][0], args[1][0], kwargs.get("attn_mask")))

        with entering(self.model), hooked([reader], before=hook):
            self.encode_images([pixels])
        query, key, hidden = calls[-1]
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
