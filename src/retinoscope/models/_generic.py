"""Families without an adapter: inferred from the model, then verified on it."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from transformers import (
    AutoModelForImageTextToText,
    PreTrainedConfig,
    PreTrainedModel,
    ProcessorMixin,
)

from ..errors import CapabilityError, NonFiniteError
from ._adapter import Formatted, Inputs
from ._capabilities import Capabilities, Capability
from ._finite import difference, encoded, finite_logits, not_finite
from ._generic_layout import Geometry, find_geometry, picture
from ._layout import Layout, unplaced_layout
from ._placeholder import PlaceholderAdapter

_TEXT_KEYS = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids", "labels")
_DECODERS = ("language_model", "text_model")
_COUNT = "n_visual"
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-6}
_SAME_SHAPES, _OTHER_SHAPES = 1e-3, 2e-2
"""Half precision: allowed differences between passes of equal and of different lengths."""
_ROWS = 8
"""How many of the last positions are compared."""
_CUT = 2
"""How many positions are dropped to check whether earlier ones change."""


class GenericAdapter(PlaceholderAdapter):
    """Any `AutoModelForImageTextToText` whose prompt holds a placeholder for each visual token.

    The assumptions: its processor expands placeholders, `get_image_features` gives the visual
    tokens, and the decoder takes embeddings with consecutive positions and causal attention.
    `verify` compares the outcome with the model's own forward pass on prompts with images, so a
    family with other positions, masks, or features inside the decoder is refused. Visual tokens are
    placed in the image only if changing pixels confirms their places.
    """

    family: ClassVar[str] = "generic"
    model_types: ClassVar[tuple[str, ...]] = ()

    def __init__(self, model: PreTrainedModel, processor: ProcessorMixin) -> None:
        super().__init__(model, processor)
        why = unfit(model.config)
        if why is None and not hasattr(self._core, "get_image_features"):
            why = f"{type(model).__name__} has no get_image_features"
        if why is None and self._named_decoder() is None:
            why = f"{type(model).__name__} has no decoder named {' or '.join(_DECODERS)}"
        if why is not None:
            raise CapabilityError(why)
        self._geometry: Geometry | None = None
        self._verified: object = None
        self._unplaced_why = "its layout was not determined"
        self._several_why = ""

    @property
    def _core(self) -> Any:
        inner = getattr(self.model, "model", None)
        return inner if hasattr(inner, "get_image_features") else self.model

    def _named_decoder(self) -> nn.Module | None:
        modules = (getattr(self._core, name, None) for name in _DECODERS)
        return next((module for module in modules if isinstance(module, nn.Module)), None)

    @property
    def language_model(self) -> nn.Module:
        module: Any = self._named_decoder()
        # Some hold the decoder together with its head.
        return module.model if hasattr(module, "lm_head") else module

    @property
    def placeholder_id(self) -> int:
        placeholder = _find_placeholder_id(self.model.config)
        assert placeholder is not None
        return placeholder

    def unembed(self, normed: Float[Tensor, "... d_model"]) -> Float[Tensor, "... vocab"]:
        return super().unembed(normed) * self._factor

    @cached_property
    @torch.no_grad()
    def _factor(self) -> float:
        """The factor that the model applies to its logits, among those that its config names.

        The decoder's config may name one that the model with images does not apply.
        """
        scale = getattr(self.text_config, "logit_scale", None) or 1.0
        divisor = getattr(self.text_config, "logits_scaling", None) or 1.0
        embeds = self.embedding.weight[None, :4]
        actual = self.plain_logits(embeds)
        plain = super().unembed(self.decode(embeds)[0, -1])
        return min(
            (1.0, scale, 1 / divisor), key=lambda factor: float((plain * factor - actual).norm())
        )

    # Images

    def _preprocess(self, image: Image.Image) -> Mapping[str, Tensor]:
        done = self._processed(self._placeholder, [image])
        pixels = {
            name: value
            for name, value in done.items()
            if isinstance(value, Tensor) and name not in _TEXT_KEYS
        }
        count = (done["input_ids"] == self.placeholder_id).sum()
        return {**pixels, _COUNT: count.reshape(1)}

    def _processed(self, text: str, images: Sequence[Image.Image]) -> Mapping[str, Any]:
        call: Any = self.processor
        return call(
            text=[text],
            images=list(images),
            add_special_tokens=self._special(text),
            # A single text needs no padding, for which a tokenizer may lack the token.
            padding=False,
            return_tensors="pt",
        )

    def _special(self, text: str) -> bool:
        begin = getattr(self.tokenizer, "bos_token", None)
        return not (begin and text.startswith(begin))

    def visual_count(self, pixels: Mapping[str, Tensor]) -> int:
        return int(pixels[_COUNT])

    def encode_images(
        self, pixels: Sequence[Mapping[str, Tensor]]
    ) -> list[Float[Tensor, "token d_model"]]:
        return [self._features(image) for image in pixels]

    def _features(self, pixels: Mapping[str, Tensor]) -> Float[Tensor, "token d_model"]:
        encode: Any = self._core.get_image_features
        taken = inspect.signature(encode).parameters
        given = {name: self._onto_model(value) for name, value in pixels.items() if name in taken}
        output = encode(**given)
        features = getattr(output, "pooler_output", output)
        if features is None:
            features = self._projected(output.last_hidden_state)
        if isinstance(features, list | tuple):
            features = torch.cat([part.reshape(-1, part.shape[-1]) for part in features])
        return features.reshape(-1, features.shape[-1]).to(self.device, self.dtype)

    def _projected(self, states: Tensor) -> Tensor:
        """Projects the vision tower's states, for models that do so in their forward pass.

        Whether the forward pass does anything else shows when the logits are compared.
        """
        projector = getattr(self._core, "multi_modal_projector", None)
        if projector is None:
            raise CapabilityError(
                "get_image_features returns no features that the decoder could take, and the model "
                "has no multi_modal_projector"
            )
        return projector(states.reshape(-1, states.shape[-1]))

    def _onto_model(self, value: Tensor) -> Tensor:
        return value.to(self.device, self.dtype if value.is_floating_point() else None)

    def layout(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> Layout:
        count = self.visual_count(pixels)
        if self._geometry is None:
            return unplaced_layout(size, count, self._unplaced_why)
        try:
            return self._geometry.layout(size, pixels, count)
        except CapabilityError as error:
            return unplaced_layout(size, count, str(error))

    def prepare(self, images: Sequence[Image.Image], formatted: Formatted) -> Inputs:
        if self._verified is not None and self._image_settings() != self._verified:
            raise CapabilityError(
                "the image processor's settings have changed since the model was loaded and "
                "checked: set them back, or load the model again with this processor"
            )
        if len(images) > 1 and self._several_why:
            raise CapabilityError(
                f"{type(self.model).__name__} accepts one image per prompt: {self._several_why}"
            )
        return super().prepare(images, formatted)

    # The check

    @torch.no_grad()
    def verify(self) -> None:
        """Checks the adapter against the model's own forward pass on prompts with images.

        Also finds out whether visual tokens can be placed, and whether a prompt may have several
        images.

        Raises:
            CapabilityError: the reason why this family needs its own adapter.
        """
        self._verified = None
        image, other = picture((320, 192), 0), picture((224, 224), 1)
        self._compare([image])
        try:
            self._compare([image, other])
        except CapabilityError as error:
            self._several_why = f"with two images {error}"
        self._geometry, self._unplaced_why = find_geometry(self)
        self._verified = self._image_settings()

    def _image_settings(self) -> object:
        processor: Any = self.processor
        images = getattr(processor, "image_processor", None)
        return None if images is None else images.to_dict()

    def _compare(self, images: Sequence[Image.Image]) -> None:
        what = f"a prompt with {len(images)} image" + "s" * (len(images) > 1)
        try:
            formatted = self.format("Describe this image.", len(images), None)
            embeds = self._embedded(self.prepare(images, formatted))
            hidden = self.decode(embeds, None)[0]
            shorter = self.decode(embeds[:, :-_CUT], None)[0, -1]
            actual = self._own_logits(formatted, images)
        except (CapabilityError, NonFiniteError):
            raise
        # A model called in an unexpected way can fail with anything.
        except Exception as error:
            raise CapabilityError(f"{what} failed ({type(error).__name__}: {error})") from error
        if not finite_logits(actual):
            raise not_finite(self.model, f"the model's own logits of {what}")
        logits = self.unembed(hidden[-_ROWS:])
        # The same products in the same shapes mostly agree bit by bit, even in half precision.
        if not difference(logits, actual) <= _TOLERANCE.get(self.dtype, _SAME_SHAPES):
            if self.dtype in _TOLERANCE:
                raise CapabilityError(
                    f"the logits of {what} differ from the model's own{self._suspicion()}"
                )
            self._in_float32()._compare(images)
        rounding = _TOLERANCE.get(self.dtype, _OTHER_SHAPES)
        if not difference(self.unembed(shorter), self.unembed(hidden[-_CUT - 1])) <= rounding:
            raise CapabilityError(
                f"in {what} a position attends to later ones, so its attention is not causal"
            )

    def _embedded(self, inputs: Inputs) -> Float[Tensor, "1 token d_model"]:
        embeds = self.embedding(inputs.input_ids.to(self.device)).clone()
        features = [image.embeddings for image in encoded(self, inputs.pixels)]
        for places, image_features in zip(inputs.image_positions, features, strict=True):
            if not places or len(image_features) != len(places):
                raise CapabilityError(
                    f"the model has {len(image_features)} features for an image, but the prompt "
                    f"has {len(places)} placeholders"
                )
            embeds[list(places)] = image_features
        return embeds[None]

    def _own_logits(
        self, formatted: Formatted, images: Sequence[Image.Image]
    ) -> Float[Tensor, "row vocab"]:
        """Logits of the last positions from the model's forward pass on its processor's output."""
        done = self._processed(formatted.text, images)
        given = {
            name: self._onto_model(value)
            for name, value in done.items()
            if isinstance(value, Tensor)
        }
        with self.length_rule.fresh():
            return self.model(**given, use_cache=False).logits[0, -_ROWS:].float()

    def _in_float32(self) -> GenericAdapter:
        """The adapter of a float32 copy of the model, in which errors stand out from rounding.

        Raises:
            CapabilityError: no such copy can be made.
        """
        try:
            return GenericAdapter(copy.deepcopy(self.model).float(), self.processor)
        # Quantised weights cannot be converted, and memory may be too small.
        except Exception as error:
            raise CapabilityError(
                f"in {str(self.dtype).removeprefix('torch.')} its logits differ from the model's "
                "own, and a float32 copy that would tell an error from rounding could not be made "
                f"({type(error).__name__}): load it in float32 (dtype=)"
            ) from error

    def _suspicion(self) -> str:
        """A possible reason for a difference, from the configuration."""
        rotary = getattr(self.text_config, "rope_parameters", None) or {}
        if "mrope_section" in str(rotary):
            return ": its rotary positions have several axes, which is not supported here"
        return ": its positions, masks or features inside the decoder are not supported here"

    # Limits

    def capabilities(self) -> Capabilities:
        done = super().capabilities()
        if self._several_why:
            done = done.refusing("several images", self._several_why)
        kinds = set(map(str, getattr(self.text_config, "layer_types", None) or ()))
        odd = kinds - {"full_attention", "sliding_attention"}
        if odd or getattr(self.text_config, "attention_chunk_size", None):
            what = ", ".join(sorted(odd)) or "chunked_attention"
            done = done.refusing(
                "incremental", f"blocks of kind {what} are unknown: the reference path is used"
            )
        placed = self._geometry is not None
        places = Capability("layout", placed, "" if placed else self._unplaced_why)
        return replace(done, methods=(*done.methods, places))


def _find_placeholder_id(config: Any) -> int | None:
    ids = (getattr(config, name, None) for name in ("image_token_id", "image_token_index"))
    return next((int(ident) for ident in ids if ident is not None), None)


def unfit(config: PreTrainedConfig) -> str | None:
    """Why the generic adapter cannot take a model of this configuration; None if it can try."""
    known: Any = AutoModelForImageTextToText._model_mapping
    if type(config) not in known:
        return "they are not image-text-to-text models of the library"
    if _find_placeholder_id(config) is None:
        return "their config has no image_token_id, so visual tokens have no place in the prompt"
    if getattr(config, "is_encoder_decoder", False):
        return "they are encoder-decoders"
    return None
