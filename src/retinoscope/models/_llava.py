"""LLaVA-1.5 and its likes: a vision tower, a projector, and a causal decoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from ..errors import CapabilityError, InputError
from ._adapter import Adapter, Formatted, Inputs
from ._capabilities import Capabilities, Capability
from ._clip_geometry import clip_frame
from ._decoder import Decoder, find_decoder
from ._layout import Layout, grid_layout

_MASKABLE = ("sdpa", "eager")


class LlavaAdapter(Adapter):
    """`LlavaForConditionalGeneration` with a vision tower of a fixed image size (CLIP, SigLIP).

    Source: Liu et al. 2023, "Improved Baselines with Visual Instruction Tuning".
    """

    family: ClassVar[str] = "LLaVA-1.5"
    model_types: ClassVar[tuple[str, ...]] = ("llava",)

    @cached_property
    def decoder(self) -> Decoder:
        return find_decoder(self.language_model)

    @property
    def language_model(self) -> nn.Module:
        return self._core.language_model

    @property
    def _core(self) -> Any:
        return self.model.model

    @property
    def _vision_config(self) -> Any:
        return self.model.config.vision_config

    @cached_property
    def _has_class_token(self) -> bool:
        names = (name for name, _ in self._core.vision_tower.named_parameters())
        return any(name.endswith(("class_embedding", "cls_token")) for name in names)

    @cached_property
    def _leading(self) -> int:
        """Visual tokens before the grid: the class token, unless the family drops it."""
        dropped = self.model.config.vision_feature_select_strategy == "default"
        if dropped and not self._has_class_token:
            raise CapabilityError(
                "this model drops the first visual feature though its vision tower has no class "
                "token, so one patch is lost: set vision_feature_select_strategy to 'full'"
            )
        return int(self._has_class_token and not dropped)

    # Images

    def preprocess(self, image: Image.Image) -> Mapping[str, Tensor]:
        done = self.processor.image_processor(images=[image], return_tensors="pt")
        return {"pixel_values": done["pixel_values"][0]}

    def _grid(self, pixels: Mapping[str, Tensor]) -> tuple[int, int]:
        height, width = pixels["pixel_values"].shape[-2:]
        patch = int(self._vision_config.patch_size)
        return height // patch, width // patch

    def layout(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> Layout:
        frame = clip_frame(size, self.processor.image_processor)
        patch = float(self._vision_config.patch_size)
        return grid_layout(size, frame, self._grid(pixels), patch, self._leading)

    def encode_images(
        self, pixels: Sequence[Mapping[str, Tensor]]
    ) -> list[Float[Tensor, "token d_model"]]:
        tower = next(self._core.vision_tower.parameters())
        batch = torch.stack([one["pixel_values"] for one in pixels])
        encode: Any = self.model.get_image_features
        features = encode(
            pixel_values=batch.to(device=tower.device, dtype=tower.dtype), return_dict=True
        ).pooler_output
        return [one.to(device=self.device, dtype=self.dtype) for one in features]

    # Text

    def format(self, text: str, n_images: int, prefill: str | None) -> Formatted:
        self._refuse_placeholder(text)
        self._refuse_placeholder(prefill or "")
        if getattr(self.processor, "chat_template", None):
            parts = [{"type": "image"}] * n_images + [{"type": "text", "text": text}]
            conversation: Any = [{"role": "user", "content": parts}]
            written = self.processor.apply_chat_template(
                conversation, add_generation_prompt=True, tokenize=False
            )
        else:
            written = "USER: " + f"{self._placeholder}\n" * n_images + f"{text} ASSISTANT:"
        assert isinstance(written, str)
        start = written.rfind(text)
        if start < 0:
            raise CapabilityError(
                f"the model's chat template changes the text {text!r}, so its tokens cannot be "
                "told apart: pass the finished prompt with raw=True"
            )
        if prefill:
            joined = prefill[:1].isspace() or not (written[-1:] == ":" or written[-1:].isalnum())
            written += prefill if joined else f" {prefill}"
        return Formatted(written, (start, start + len(text)))

    def after_images(self, text: str) -> int:
        place = text.rfind(self._placeholder)
        return 0 if place < 0 else place + len(self._placeholder)

    @property
    def _placeholder(self) -> str:
        return self.tokenizer.convert_ids_to_tokens(int(self.model.config.image_token_id))

    def _refuse_placeholder(self, text: str) -> None:
        if self._placeholder in text:
            raise InputError(
                f"expected a text without {self._placeholder}, which stands for an image: "
                "leave it out (images are placed for you), or pass the whole prompt with raw=True"
            )

    def prepare(self, images: Sequence[Image.Image], formatted: Formatted) -> Inputs:
        pieces = formatted.text.split(self._placeholder)
        if len(pieces) != len(images) + 1:
            raise InputError(
                f"expected one {self._placeholder} in the prompt for each of {len(images)} images, "
                f"got {len(pieces) - 1}"
            )
        pixels = tuple(self.preprocess(image) for image in images)
        layouts = tuple(
            self.layout(image.size, one) for image, one in zip(images, pixels, strict=True)
        )
        counts = [len(layout) for layout in layouts]
        text, question = _expand(pieces, self._placeholder, counts, formatted.question)
        ids, spans = self._tokenize(text)
        place = int(self.model.config.image_token_id)
        visual = [position for position, index in enumerate(ids) if index == place]
        if len(visual) != sum(counts):
            raise CapabilityError(
                f"the tokenizer makes {len(visual)} placeholders of {sum(counts)}: "
                f"its token {self._placeholder!r} is no special token"
            )
        ends = [0, *torch.tensor(counts).cumsum(0).tolist()] if counts else [0]
        hidden = set(visual)
        return Inputs(
            input_ids=torch.tensor(ids),
            image_positions=tuple(tuple(visual[a:b]) for a, b in pairwise(ends)),
            pixels=pixels,
            layouts=layouts,
            question=None
            if spans is None
            else tuple(
                position
                for position, (start, end) in enumerate(spans)
                if start < question[1] and end > question[0] and position not in hidden
            ),
        )

    def _tokenize(self, text: str) -> tuple[list[int], list[tuple[int, int]] | None]:
        begin = getattr(self.tokenizer, "bos_token", None)
        spans = bool(getattr(self.tokenizer, "is_fast", False))
        # A chat template may write the token that the tokenizer would add once more.
        done = self.tokenizer(
            text,
            add_special_tokens=not (begin and text.startswith(begin)),
            return_offsets_mapping=spans,
        )
        return list(done["input_ids"]), list(done["offset_mapping"]) if spans else None

    # Limits

    def capabilities(self) -> Capabilities:
        attention = self.attention_implementation
        maskable = attention in _MASKABLE
        why = "" if maskable else f"{attention} takes no mask per edge: load with 'sdpa' or 'eager'"
        sliding = getattr(self.text_config, "sliding_window", None)
        methods = (
            Capability("run", True),
            Capability("lens", True),
            Capability("ablate", True),
            Capability("patch", True),
            Capability("knockout", maskable, why),
            Capability("attention", maskable, why),
            Capability("gradients", True),
            Capability("generate", True),
            Capability("several images", True),
            Capability("incremental", maskable, why),
        )
        decoder = str(self.text_config.model_type)
        return Capabilities(
            family=self.family,
            architecture=type(self.model).__name__,
            decoder=f"{decoder} (sliding window {sliding})" if sliding else decoder,
            n_layers=self.n_layers,
            n_heads=self.n_heads,
            d_model=self.d_model,
            vocab_size=self.vocab_size,
            attention=attention,
            methods=methods,
        )


def _expand(
    pieces: Sequence[str], placeholder: str, counts: Sequence[int], question: tuple[int, int]
) -> tuple[str, tuple[int, int]]:
    """The text with each placeholder as often as its image has tokens; the question's new span."""
    text = pieces[0]
    shift = 0
    place = len(pieces[0])
    for piece, count in zip(pieces[1:], counts, strict=True):
        if place < question[0]:
            shift += len(placeholder) * (count - 1)
        text += placeholder * count + piece
        place += len(placeholder) + len(piece)
    return text, (question[0] + shift, question[1] + shift)
