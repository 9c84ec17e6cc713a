"""PaliGemma 1 and 2: the prompt attends bidirectionally, generated text causally."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from ..errors import CapabilityError
from ._adapter import Formatted, Inputs
from ._clip_geometry import clip_frame
from ._layout import Layout, grid_layout
from ._masks import library_masks
from ._placeholder import PlaceholderAdapter
from ._wording import refuse_control


@dataclass(frozen=True)
class Prefixed(Formatted):
    """A prompt and the start of its answer, which the model reads causally.

    `text` is the processor's input; it adds the beginning-of-text token after the images and a
    newline at the end.
    """

    suffix: str = ""


class PaliGemmaAdapter(PlaceholderAdapter):
    """`PaliGemmaForConditionalGeneration` with Gemma (PaliGemma) or Gemma 2 (PaliGemma 2).

    Images, beginning-of-text token, text and newline form the prefix, in which all positions attend
    to each other. A `prefill` starts the suffix: it is tokenised separately and read causally, as
    in training. Positions are numbered from 1.

    Source: Beyer et al. 2024, "PaliGemma", section 3.2; Steiner et al. 2024, "PaliGemma 2".
    """

    family: ClassVar[str] = "PaliGemma"
    model_types: ClassVar[tuple[str, ...]] = ("paligemma",)

    # Images

    def _preprocess(self, image: Image.Image) -> Mapping[str, Tensor]:
        done = self.processor.image_processor(images=[image], return_tensors="pt")
        return {"pixel_values": done["pixel_values"]}

    def _grid(self, pixels: Mapping[str, Tensor]) -> tuple[int, int]:
        height, width = pixels["pixel_values"].shape[-2:]
        patch = int(self.model.config.vision_config.patch_size)
        return height // patch, width // patch

    def visual_count(self, pixels: Mapping[str, Tensor]) -> int:
        rows, columns = self._grid(pixels)
        return rows * columns

    def layout(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> Layout:
        frame = clip_frame(size, self.processor.image_processor)
        patch = float(self.model.config.vision_config.patch_size)
        return grid_layout(size, frame, self._grid(pixels), patch)

    def encode_images(
        self, pixels: Sequence[Mapping[str, Tensor]]
    ) -> list[Float[Tensor, "token d_model"]]:
        tower = next(self.model.model.vision_tower.parameters())
        batch = torch.cat([image["pixel_values"] for image in pixels])
        encode: Any = self.model.model.get_image_features
        features = encode(batch.to(tower.device, tower.dtype), return_dict=True)
        return [image.to(self.device, self.dtype) for image in features.pooler_output]

    # Text

    def format(self, text: str, n_images: int, prefill: str | None) -> Prefixed:
        """The images' placeholders and the text, as the processor's input.

        Raises:
            CapabilityError: no image; PaliGemma reads no prompt without one.
        """
        if not n_images:
            raise CapabilityError(
                f"{type(self.model).__name__} reads no prompt without an image: pass one"
            )
        self._refuse_placeholder(text)
        self._refuse_placeholder(prefill or "")
        refuse_control(self.vocabulary, text, prefill)
        start = n_images * len(self._placeholder)
        written = self._placeholder * n_images + text
        return Prefixed(written, (start, start + len(text)), prefill or "")

    def prepare(self, images: Sequence[Image.Image], formatted: Formatted) -> Inputs:
        inputs = super().prepare(images, Formatted(formatted.text, (0, 0)))
        n_prefix = len(inputs.input_ids)
        suffix = formatted.suffix if isinstance(formatted, Prefixed) else ""
        ids = self.tokenizer(suffix, add_special_tokens=False)["input_ids"] if suffix else []
        return replace(
            inputs,
            input_ids=torch.cat([inputs.input_ids, torch.tensor(ids, dtype=torch.long)]),
            question=self._question_of(inputs, formatted),
            extra={**inputs.extra, "n_prefix": n_prefix},
        )

    def _question_of(self, inputs: Inputs, formatted: Formatted) -> tuple[int, ...] | None:
        """Positions of the user's words in the prefix; None if the tokenizer cannot tell."""
        if not getattr(self.tokenizer, "is_fast", False):
            return None
        place = self.after_images(formatted.text)
        # As the processor completes a prompt.
        begin = str(self.tokenizer.bos_token)
        done = self.tokenizer(
            f"{begin}{formatted.text[place:]}\n",
            add_special_tokens=False,
            return_offsets_mapping=True,
        )
        ids, spans = list(done["input_ids"]), done["offset_mapping"]
        first = len(inputs.input_ids) - len(ids)
        if inputs.input_ids[first:].tolist() != ids:
            return None
        start, stop = (at - place + len(begin) for at in formatted.question)
        return tuple(first + i for i, (a, b) in enumerate(spans) if a < stop and b > start)

    # Attention

    def arguments(self, inputs: Inputs, start: int, stop: int) -> dict[str, Any]:
        types = torch.ones(stop, dtype=torch.long)
        types[: self._n_prefix(inputs)] = 0
        return {
            "attention_mask": library_masks(self, types, start),
            "position_ids": torch.arange(start + 1, stop + 1, device=self.device)[None],
        }

    def _n_prefix(self, inputs: Inputs) -> int:
        if "n_prefix" in inputs.extra:
            return int(inputs.extra["n_prefix"])
        # With token ids alone, without types, the library makes no mask under scaled-dot-product
        # attention, which non-causal modules take as no masking; otherwise a causal one.
        both_ways = bool(getattr(self.text_config, "use_bidirectional_attention", False))
        sdpa = self.attention_implementation == "sdpa"
        return len(inputs.input_ids) if both_ways and sdpa else 0
