"""Llama 3.2 Vision: the decoder reads the image in cross-attention blocks, not at positions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from PIL import Image
from torch import Tensor, nn
from transformers import Cache

from ..errors import CapabilityError, InputError, RetinoscopeError
from ._adapter import Formatted, Inputs
from ._capabilities import Capabilities, Capability
from ._decoder import Decoder
from ._encoded import EncodedImage
from ._layout import Frame, Layout, grid_layout, joined_layout
from ._placeholder import PlaceholderAdapter

_NO_POSITIONS = (
    "its visual tokens are keys of the cross-attention blocks and have no position in the "
    "decoder's input"
)


@dataclass(frozen=True, eq=False)
class MllamaDecoder(Decoder):
    """A decoder in which some blocks attend to the image's patches instead of to positions."""

    @property
    def attending(self) -> tuple[int, ...]:
        """The blocks in which positions attend to positions."""
        return tuple(i for i, block in enumerate(self.layers) if hasattr(block, "self_attn"))

    @property
    def reading(self) -> tuple[int, ...]:
        """The blocks in which positions attend to patches."""
        return tuple(i for i, block in enumerate(self.layers) if hasattr(block, "cross_attn"))

    def attention(self, layer: int) -> nn.Module:
        """The self-attention module of one block.

        Raises:
            CapabilityError: the block attends to the image.
        """
        module = getattr(self.layers[layer], "self_attn", None)
        if not isinstance(module, nn.Module):
            raise CapabilityError(
                f"layer {layer} is a cross-attention block, whose keys are image patches and not "
                f"positions: choose layers among {_numbers(self.attending)}, and hide patches with "
                "vlm.adapter.hide_patches"
            )
        return module


class MllamaAdapter(PlaceholderAdapter):
    """`MllamaForConditionalGeneration`.

    An image is resized to fit a canvas of up to four square tiles, starting at its upper left
    corner, and padded. Every text position from the image's token on attends to all patches of all
    its tiles, in the cross-attention blocks only. A run therefore has no visual tokens among its
    positions; use `patches`, `cross_attention` and `hide_patches` instead.

    Without an image the library skips the cross-attention blocks; here they read a single zero and
    change nothing, so that every layer has its residual stream.

    Source: Llama Team 2024, "The Llama 3 Herd of Models", section 7.
    """

    family: ClassVar[str] = "Llama 3.2 Vision"
    model_types: ClassVar[tuple[str, ...]] = ("mllama",)

    # The decoder

    @property
    def language_model(self) -> nn.Module:
        return self.model.model.language_model

    @property
    def text_config(self) -> Any:
        return self.language_model.config

    @cached_property
    def decoder(self) -> MllamaDecoder:
        inner: Any = self.language_model
        return MllamaDecoder(tuple(inner.layers), inner.norm)

    def decode(
        self, embeds: Float[Tensor, "batch token d_model"], cache: Cache | None = None, **extra: Any
    ) -> Float[Tensor, "batch token d_model"]:
        states = extra.get("cross_attention_states")
        if states is not None:
            # The cache keeps one row per condition.
            extra["cross_attention_states"] = states.expand(len(embeds), -1, -1)
        return super().decode(embeds, cache, **extra)

    def arguments(self, inputs: Inputs, start: int, stop: int) -> dict[str, Any]:
        reads = inputs.extra.get("reads")
        if reads is None:
            reads = torch.zeros(len(inputs.input_ids), 1, dtype=torch.bool)
        # Generated positions attend to what the prompt's last position attends to.
        rows = reads[torch.arange(start, stop).clamp(max=len(reads) - 1)].to(self.device)
        some = rows.any(-1, keepdim=True)
        # The library lets a row without any patch attend to all, and then drops its MLP.
        mask = torch.zeros(rows.shape, dtype=self.dtype, device=self.device).masked_fill(
            ~rows & some, torch.finfo(self.dtype).min
        )
        return {
            "cross_attention_states": None if start else self._states(inputs),
            "cross_attention_mask": mask[None, None],
            "full_text_row_masked_out_mask": some.to(self.dtype)[None, None],
        }

    # Images

    def _preprocess(self, image: Image.Image) -> Mapping[str, Tensor]:
        done = self.processor.image_processor(images=[image], return_tensors="pt")
        names = ("pixel_values", "aspect_ratio_ids", "aspect_ratio_mask")
        return {name: done[name][0] for name in names}

    def visual_count(self, pixels: Mapping[str, Tensor]) -> int:
        return 0

    def layout(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> Layout:
        """The layout of the keys of the cross-attention blocks, for one image, in their order.

        Tile by tile, a class token and the patches row by row; those of tiles that the image does
        not fill are unplaced.
        """
        side, patch = self._tile, int(self.model.config.vision_config.patch_size)
        down, across = self._tiling(int(pixels["aspect_ratio_ids"].reshape(-1)[0]))
        width, height = size
        new_width, new_height = _fitted(size, (across * side, down * side), side)
        cells = side // patch
        parts: list[Layout] = []
        for number in range(int(pixels["pixel_values"].shape[-4])):
            row, column = divmod(number, across)
            frame = Frame(new_width / width, new_height / height, column * side, row * side)
            part = grid_layout(size, frame, (cells, cells), float(patch), leading=1)
            if number >= down * across:
                part.boxes[:] = np.nan
            parts.append(part)
        return joined_layout(parts, grid=(cells, cells) if down * across == 1 else None)

    @property
    def _tile(self) -> int:
        """Side of a tile in pixels."""
        return int(self.processor.image_processor.size["height"])

    def _tiling(self, number: int) -> tuple[int, int]:
        """Tiles down and across, from the aspect ratio's id, which counts from 1."""
        most = int(self.processor.image_processor.max_image_tiles)
        sides = range(1, most + 1)
        known = [(down, across) for down in sides for across in sides if down * across <= most]
        return known[number - 1]

    def encode_images(
        self, pixels: Sequence[Mapping[str, Tensor]]
    ) -> list[Float[Tensor, "token d_model"]]:
        raise CapabilityError(
            f"{type(self.model).__name__}: {_NO_POSITIONS}; they are in run.inputs.encoded"
        )

    @torch.no_grad()
    def encode(self, pixels: Sequence[Mapping[str, Tensor]]) -> list[EncodedImage]:
        """No visual tokens; the input of the cross-attention blocks, image by image."""
        nothing = torch.zeros(0, self.d_model, dtype=self.dtype, device=self.device)
        return [EncodedImage(nothing, read=self._read(image)) for image in pixels]

    def _read(self, pixels: Mapping[str, Tensor]) -> Float[Tensor, "patch d_model"]:
        core: Any = self.model.model
        tower = next(core.vision_model.parameters())
        features = core.vision_model(
            pixel_values=pixels["pixel_values"][None].to(tower.device, tower.dtype),
            aspect_ratio_ids=pixels["aspect_ratio_ids"].reshape(1, -1).to(tower.device),
            aspect_ratio_mask=pixels["aspect_ratio_mask"][None].to(tower.device),
        ).last_hidden_state
        states = core.multi_modal_projector(features).reshape(-1, self.d_model)
        return states.to(self.device, self.dtype)

    def _states(self, inputs: Inputs) -> Float[Tensor, "1 patch d_model"]:
        if not inputs.pixels:
            return torch.zeros(1, 1, self.d_model, dtype=self.dtype, device=self.device)
        read = [image.read for image in inputs.encoded if image.read is not None]
        assert len(read) == len(inputs.pixels), "expected the inputs of a run"
        return torch.cat(read)[None]

    # Instead of visual tokens

    def no_visual(self, inputs: Inputs) -> RetinoscopeError:
        if not self.patches(inputs):
            return super().no_visual(inputs)
        return CapabilityError(
            f"{self.family}: {_NO_POSITIONS}: use vlm.adapter.patches, hide_patches and "
            "cross_attention, or token sets of text positions"
        )

    def patches(self, inputs: Inputs) -> tuple[Layout, ...]:
        """For each image of a run's `inputs`, the layout of the cross-attention blocks' keys."""
        return tuple(inputs.extra.get("layouts", ()))

    def hide_patches(
        self,
        inputs: Inputs,
        patches: Bool[np.ndarray, " patch"],
        *,
        image: int = 0,
        positions: Iterable[int] | None = None,
    ) -> Inputs:
        """The same prompt with some patches hidden from some positions, in all blocks.

        The mask is the model's own, so the remaining weights of a row add up to 1. Generated
        positions attend to what the last position attends to.

        Args:
            patches: True for each patch of the image to hide, in the order of `patches(inputs)`; a
                whole tile with `adapter.patches(inputs)[0].tiles == 1`.
            image: which image of the prompt, from 0.
            positions: the positions to hide them from; all by default.

        Raises:
            InputError: no such image or position, nothing hidden, a selection of another length, or
                a position without any patch left (the library would then let it attend to all).
        """
        layouts = self.patches(inputs)
        if not 0 <= image < len(layouts):
            raise InputError(f"expected an image from 0 to {len(layouts) - 1}, got {image}")
        hide = torch.from_numpy(np.asarray(patches, dtype=bool))
        if hide.shape != (len(layouts[image]),):
            raise InputError(
                f"expected one value for each of {len(layouts[image])} patches, got {len(hide)}"
            )
        before = inputs.extra["reads"]
        rows = list(range(len(before)) if positions is None else positions)
        if any(not 0 <= row < len(before) for row in rows):
            raise InputError(f"expected positions from 0 to {len(before) - 1}, got {rows}")
        start = sum(len(layout) for layout in layouts[:image])
        block = torch.zeros_like(before)
        block[rows, start : start + len(hide)] = hide
        if not (before & block).any():
            raise InputError("expected patches that these positions read, got none: no change")
        after = before & ~block
        empty = (before.any(-1) & ~after.any(-1)).nonzero()
        if len(empty):
            raise InputError(
                f"expected at least one patch left for each position, got none for position "
                f"{int(empty[0])}: keep a tile's class token or some patches"
            )
        return replace(inputs, extra={**inputs.extra, "reads": after})

    @torch.no_grad()
    def cross_attention(
        self,
        inputs: Inputs,
        layer: int,
        hidden: Float[Tensor, "query d_model"],
        positions: Sequence[int],
    ) -> Float[Tensor, "head query patch"]:
        """Weights of one cross-attention block over the patches of all images, after the softmax.

        Args:
            inputs: the run's: `run.inputs`.
            layer: 0-based block, one of `adapter.decoder.reading`.
            hidden: the block's input at these positions: `run.hidden(layer, positions)`.
            positions: of the rows.

        Raises:
            InputError: a block that does not attend to the image, or a prompt without an image.
        """
        if layer not in self.decoder.reading:
            raise InputError(
                f"expected a cross-attention block, one of {_numbers(self.decoder.reading)}, got "
                f"{layer}"
            )
        if not self.patches(inputs):
            raise InputError("expected a prompt with an image, got one of text only")
        block: Any = self.decoder.layers[layer]
        module = block.cross_attn
        query = module.q_proj(block.input_layernorm(hidden))
        query = module.q_norm(query.unflatten(-1, (self.n_heads, -1)))
        key = module.k_proj(self._states(inputs)[0])
        key = module.k_norm(key.unflatten(-1, (-1, module.head_dim)))
        key = key.repeat_interleave(self.n_heads // key.shape[1], 1)
        scores = torch.einsum("qhd,khd->hqk", query, key).float() * module.head_dim**-0.5
        last = len(inputs.extra["reads"]) - 1
        rows = inputs.extra["reads"][[min(place, last) for place in positions]]
        rows = rows | ~rows.any(-1, keepdim=True)
        return scores.masked_fill(~rows.to(scores.device), -torch.inf).softmax(-1)

    # Text

    @property
    def placeholder(self) -> str:
        """The text that stands for an image in a prompt."""
        processor: Any = self.processor
        return str(processor.image_token)

    def prepare(self, images: Sequence[Image.Image], formatted: Formatted) -> Inputs:
        n_written = formatted.text.count(self.placeholder)
        if n_written != len(images):
            raise InputError(
                f"expected one {self.placeholder} in the prompt for each of {len(images)} images, "
                f"got {n_written}"
            )
        # The processor adds the beginning-of-text token itself.
        call: Any = self.processor
        done = call(
            images=list(images) or None,
            text=formatted.text,
            add_special_tokens=False,
            return_tensors="pt",
        )
        ids = done["input_ids"][0]
        extra: dict[str, Any] = {}
        pixels: tuple[Mapping[str, Tensor], ...] = ()
        if images:
            pixels = tuple(self.preprocess(image) for image in images)
            layouts = tuple(self.layout(x.size, y) for x, y in zip(images, pixels, strict=True))
            # (token, image, tile) to (token, patch)
            mask = done["cross_attention_mask"][0].bool()
            count = len(layouts[0]) // mask.shape[-1]
            reads = mask.repeat_interleave(count, -1).flatten(1)
            extra = {"layouts": layouts, "reads": reads}
        return Inputs(
            input_ids=ids,
            image_positions=(),
            pixels=pixels,
            layouts=(),
            question=self._question_positions(formatted, ids),
            extra=extra,
        )

    def _question_positions(
        self, formatted: Formatted, ids: Int[Tensor, " token"]
    ) -> tuple[int, ...] | None:
        """Positions of the user's words, counted from the end, since the beginning may differ."""
        if not getattr(self.tokenizer, "is_fast", False):
            return None
        done = self.tokenizer(formatted.text, add_special_tokens=False, return_offsets_mapping=True)
        plain = list(done["input_ids"])
        image_id = self.tokenizer.convert_tokens_to_ids(self.placeholder)
        shift = len(ids) - len(plain)
        start, stop = formatted.question
        positions = [
            position
            for position, (a, b) in enumerate(done["offset_mapping"])
            if a < stop and b > start and plain[position] != image_id
        ]
        if not positions or plain[positions[0] :] != ids[shift + positions[0] :].tolist():
            return None
        return tuple(position + shift for position in positions)

    # Limits

    def plain_logits(self, embeds: Float[Tensor, "1 token d_model"]) -> Float[Tensor, " vocab"]:
        """float32 logits of the last position from the library's forward pass without an image,
        which skips the cross-attention blocks."""
        return self.model(inputs_embeds=embeds, use_cache=False).logits[0, -1].float()

    def capabilities(self) -> Capabilities:
        done = super().capabilities()
        text = f"of text positions; {_NO_POSITIONS}: hide patches with vlm.adapter.hide_patches"
        blocks = _numbers(self.decoder.attending)
        edges = f"between text positions, at the self-attention blocks {blocks}"
        supported = {
            "lens": "of text positions",
            "ablate": text,
            "patch": text,
            "knockout": f"{edges}; patches with vlm.adapter.hide_patches",
        }
        refused = {
            "attention": "its blocks receive the image's states, which belong to no position: "
            "vlm.adapter.cross_attention reads the weights over the patches",
            "gradients": f"{_NO_POSITIONS}, where gradients would be taken: hide patches with "
            "vlm.adapter.hide_patches",
            "incremental": "its cross-attention blocks read keys that belong to no position: the "
            "reference path is used",
        }
        methods = tuple(
            Capability(method.name, False, refused[method.name])
            if method.name in refused
            else Capability(method.name, True, supported[method.name])
            if method.supported and method.name in supported
            else method
            for method in done.methods
        )
        return replace(done, methods=methods)


def _fitted(size: tuple[int, int], canvas: tuple[int, int], side: int) -> tuple[int, int]:
    """Width and height of an image of `size` on its canvas, rounded like the processor's."""
    wanted = [min(max(have, side), room) for have, room in zip(size, canvas, strict=True)]
    scales = [want / have for want, have in zip(wanted, size, strict=True)]
    if scales[0] < scales[1]:
        return wanted[0], min(int(size[1] * scales[0]) or 1, wanted[1])
    return min(int(size[0] * scales[1]) or 1, wanted[0]), wanted[1]


def _numbers(values: Iterable[int]) -> str:
    return ", ".join(map(str, values))
