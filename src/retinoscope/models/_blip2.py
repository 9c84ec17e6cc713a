"""BLIP-2 and InstructBLIP: learned queries read the image and precede the text."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from transformers import PreTrainedModel, ProcessorMixin

from ..errors import CapabilityError, InputError
from ..interfaces import attention_weights
from ._adapter import Formatted, Inputs
from ._capabilities import Capabilities
from ._clip_geometry import clip_frame
from ._entering import entering, hooked
from ._layout import Layout, SoftOrigin, grid_layout, unplaced_layout
from ._placeholder import PlaceholderAdapter
from ._wording import refuse_control


class QueryAdapter(PlaceholderAdapter):
    """A family whose visual tokens are a fixed number of learned queries.

    They are unplaced, since each mixes the whole image; `soft_origin` shows how. The image precedes
    the text, and the processor takes one per prompt.
    """

    def __init__(self, model: PreTrainedModel, processor: ProcessorMixin) -> None:
        super().__init__(model, processor)
        self._refuse_encoder_decoder()

    def _refuse_encoder_decoder(self) -> None:
        """Raises `CapabilityError` if the language model is not a decoder."""

    @property
    @abstractmethod
    def n_queries(self) -> int:
        """The number of visual tokens per image."""

    @property
    def placeholder(self) -> str:
        """The text that stands for an image in a prompt."""
        return "<image>"

    # Images

    @property
    def _tower(self) -> Any:
        """The vision tower."""
        return self.model.vision_model

    def visual_count(self, pixels: Mapping[str, Tensor]) -> int:
        return self.n_queries

    def layout(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> Layout:
        return unplaced_layout(size, self.n_queries)

    def patch_layout(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> Layout:
        """The layout of the vision tower's patches, which the queries read."""
        frame = clip_frame(size, self.processor.image_processor)
        patch = int(self.model.config.vision_config.patch_size)
        height, width = pixels["pixel_values"].shape[-2:]
        return grid_layout(size, frame, (height // patch, width // patch), float(patch))

    @torch.no_grad()
    def soft_origin(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> SoftOrigin:
        """Where each visual token's query looked.

        Args:
            size: width and height of the original image: `run.image.size`.
            pixels: the image as the model receives it: `run.inputs.pixels[0]`.
        """
        layout = self.patch_layout(size, pixels)
        with entering(self.model), _calls(self._reader) as calls:
            self.encode_images([pixels])
        hidden, read = calls[-1]
        weights = self._read_weights(hidden[0], read[0]).float().mean(0)
        # The first patch is the class token.
        return SoftOrigin(weights[:, 1 : 1 + len(layout)], layout)

    @property
    @abstractmethod
    def _reader(self) -> nn.Module:
        """The last attention module in which the queries read the patches."""

    @abstractmethod
    def _read_weights(
        self, hidden: Float[Tensor, "query d_query"], read: Float[Tensor, "key d_key"]
    ) -> Float[Tensor, "head query key"]:
        """Its attention weights, after the softmax."""

    # Text

    def format(self, text: str, n_images: int, prefill: str | None) -> Formatted:
        self._refuse_several(n_images)
        for given in (text, prefill or ""):
            if self.placeholder in given:
                raise InputError(
                    f"expected a text without {self.placeholder}, which stands for an image: "
                    "leave it out (images are inserted automatically), or pass the whole prompt "
                    "with raw=True"
                )
        refuse_control(self.vocabulary, text, prefill)
        before, after = self._wording
        written = self.placeholder * n_images + before
        start = len(written)
        written += text + after
        if prefill:
            written += prefill if prefill[:1].isspace() else f" {prefill}"
        return Formatted(written, (start, start + len(text)))

    @property
    def _wording(self) -> tuple[str, str]:
        """The text before and after the user's words."""
        return "Question: ", " Answer:"

    def after_images(self, text: str) -> int:
        index = text.rfind(self.placeholder)
        return 0 if index < 0 else index + len(self.placeholder)

    def _refuse_several(self, n_images: int) -> None:
        if n_images > 1:
            raise CapabilityError(
                f"{type(self.model).__name__} takes one image per prompt, got {n_images}: run one "
                "prompt for each image"
            )

    def _behind_image(self, text: str, n_images: int) -> str:
        """The text without its placeholder, as the family's processor takes it."""
        self._refuse_several(n_images)
        pieces = text.split(self.placeholder)
        if len(pieces) != n_images + 1:
            raise InputError(
                f"expected one {self.placeholder} in the prompt for each of {n_images} images, got "
                f"{len(pieces) - 1}"
            )
        if n_images and pieces[0].strip():
            raise CapabilityError(
                f"{type(self.model).__name__} reads its image before all text: write "
                f"{self.placeholder} at the beginning of the prompt"
            )
        return pieces[-1]

    # Limits

    def plain_logits(self, embeds: Float[Tensor, "1 token d_model"]) -> Float[Tensor, " vocab"]:
        """float32 logits of the last position from the library's forward pass, without an image.

        The whole model requires pixels, so its language model is called.
        """
        return self._causal(inputs_embeds=embeds, use_cache=False).logits[0, -1].float()

    @property
    @abstractmethod
    def _causal(self) -> Any:
        """The language model with its head."""

    def capabilities(self) -> Capabilities:
        why = "the image precedes the text, one per prompt: run one prompt for each image"
        return super().capabilities().refusing("several images", why)


@contextmanager
def _calls(module: nn.Module) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Records (hidden states, encoder hidden states) of every call of an attention module."""
    calls: list[tuple[Tensor, Tensor]] = []

    def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        hidden = args[0] if args else kwargs["hidden_states"]
        calls.append((hidden, kwargs["encoder_hidden_states"]))

    with hooked([module], before=hook):
        yield calls


class Blip2Adapter(QueryAdapter):
    """`Blip2ForConditionalGeneration` with a decoder (OPT) as language model.

    The Q-Former's queries come first of all, before the beginning-of-text token; their positions
    are learned like any other. The prompt is "Question: ... Answer:".

    Source: Li et al. 2023, "BLIP-2", sections 3.1 to 3.3 and 4.1.
    """

    family: ClassVar[str] = "BLIP-2"
    model_types: ClassVar[tuple[str, ...]] = ("blip-2",)

    def _refuse_encoder_decoder(self) -> None:
        config = self.model.config
        if not config.use_decoder_only_language_model:
            raise CapabilityError(
                f"{type(self.model).__name__} with a {config.text_config.model_type} language "
                "model is an encoder-decoder: its visual tokens are in the encoder and its answer "
                "in the decoder, so no position attends to another causally; use a checkpoint "
                "with a decoder (OPT for BLIP-2, Vicuna for InstructBLIP)"
            )
        if config.image_token_id is None:
            raise CapabilityError(
                f"{type(self.model).__name__} has no image_token_index in its config, so its "
                "visual tokens have no place in the prompt: save it again with a current processor"
            )

    # The decoder

    @property
    def _causal(self) -> Any:
        return self.model.language_model

    @property
    def language_model(self) -> nn.Module:
        return self._causal.get_decoder()

    @property
    def text_config(self) -> Any:
        # The language model may have a copy of the whole model's text_config.
        return self._causal.config

    @property
    def generator(self) -> Any:
        return self._causal

    # Images

    @property
    def n_queries(self) -> int:
        return int(self.model.config.num_query_tokens)

    def _preprocess(self, image: Image.Image) -> Mapping[str, Tensor]:
        done = self.processor.image_processor(images=[image], return_tensors="pt")
        return {"pixel_values": done["pixel_values"][0]}

    def encode_images(
        self, pixels: Sequence[Mapping[str, Tensor]]
    ) -> list[Float[Tensor, "token d_model"]]:
        return [self._features(image) for image in pixels]

    def _features(self, pixels: Mapping[str, Tensor]) -> Float[Tensor, "token d_model"]:
        tower = next(self._tower.parameters())
        encode: Any = self.model.get_image_features
        done = encode(
            pixel_values=pixels["pixel_values"][None].to(tower.device, tower.dtype),
            return_dict=True,
            **self._instruction(pixels, tower.device),
        )
        return done.pooler_output[0].to(self.device, self.dtype)

    def _instruction(self, pixels: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
        """The text inputs of the Q-Former."""
        return {}

    @property
    def _reader(self) -> nn.Module:
        former: Any = self.model.qformer
        layers = [layer for layer in former.encoder.layer if layer.has_cross_attention]
        return layers[-1].crossattention.attention

    def _read_weights(
        self, hidden: Float[Tensor, "query d_query"], read: Float[Tensor, "key d_key"]
    ) -> Float[Tensor, "head query key"]:
        module: Any = self._reader
        return attention_weights(
            module.query(hidden), module.key(read), int(module.num_attention_heads)
        )

    # Text

    def prepare(self, images: Sequence[Image.Image], formatted: Formatted) -> Inputs:
        text = self._behind_image(formatted.text, len(images))
        call: Any = self.processor
        done = call(images=images[0] if images else None, text=text, return_tensors="pt")
        ids = done["input_ids"][0]
        image_id = int(self.model.config.image_token_id)
        written = (ids == image_id).nonzero()[:, 0].tolist()
        if written != list(range(len(images) * self.n_queries)):
            raise CapabilityError(
                f"the processor writes {len(written)} image tokens for {len(images)} images, but "
                f"the model has {self.n_queries} queries: it belongs to another model"
            )
        pixels = [self._pixels(done)] if images else []
        visual = tuple(range(sum(map(self.visual_count, pixels))))
        ids = ids[len(written) - len(visual) :]
        layouts = [self.layout(x.size, y) for x, y in zip(images, pixels, strict=True)]
        shift = len(formatted.text) - len(text)
        return Inputs(
            input_ids=ids,
            image_positions=tuple(visual for _ in images),
            pixels=tuple(pixels),
            layouts=tuple(layouts),
            question=self._question_positions(
                text, ids[len(visual) :], len(visual), [at - shift for at in formatted.question]
            ),
        )

    def _pixels(self, done: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return {"pixel_values": done["pixel_values"][0]}

    def _question_positions(
        self, text: str, ids: Tensor, before: int, question: Sequence[int]
    ) -> tuple[int, ...] | None:
        """Positions of the characters from `question[0]` to `question[1]` of `text`."""
        if not getattr(self.tokenizer, "is_fast", False):
            return None
        done = self.tokenizer(text, return_offsets_mapping=True)
        if list(done["input_ids"]) != ids.tolist():
            return None
        return tuple(
            before + index
            for index, (start, end) in enumerate(done["offset_mapping"])
            if start < question[1] and end > question[0]
        )


class InstructBlipAdapter(Blip2Adapter):
    """`InstructBlipForConditionalGeneration` with a decoder (Vicuna) as language model.

    The Q-Former reads the whole text of the prompt, including the start of the answer, as the
    library's processor passes it on. An image's visual tokens therefore depend on the prompt, and
    an image alone has none. The prompt is the user's words as they are.

    Source: Dai et al. 2023, "InstructBLIP", section 2.3.
    """

    family: ClassVar[str] = "InstructBLIP"
    model_types: ClassVar[tuple[str, ...]] = ("instructblip",)

    @property
    def _wording(self) -> tuple[str, str]:
        return "", ""

    def _pixels(self, done: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        names = ("pixel_values", "qformer_input_ids", "qformer_attention_mask")
        return {name: done[name][0] for name in names}

    def _instruction(self, pixels: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
        if "qformer_input_ids" not in pixels:
            raise CapabilityError(
                f"{type(self.model).__name__} makes its visual tokens from the image and the "
                "prompt's text together, so an image alone has none (and many images no mean): "
                "make a run of a prompt, and use fill.zero, fill.noise or fill.donor"
            )
        return {
            name: pixels[name][None].to(device)
            for name in ("qformer_input_ids", "qformer_attention_mask")
        }
