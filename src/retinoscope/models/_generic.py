"""Families without an adapter: read off the model, then checked on it."""

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
from ._generic_layout import Geometry, find_geometry, picture, unplaced
from ._layout import Layout
from ._placeholder import PlaceholderAdapter

_TEXT_KEYS = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids", "labels")
_DECODERS = ("language_model", "text_model")
_COUNT = "n_visual"
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-6}
_SAME_SHAPES, _OTHER_SHAPES = 1e-3, 2e-2
"""In half precision: what two passes may differ by over as many positions, and over others."""
_ROWS = 8
"""How many of the last positions are compared."""
_CUT = 2
"""How many positions are left out to see whether those before them change."""


class GenericAdapter(PlaceholderAdapter):
    """Any `AutoModelForImageTextToText` whose prompt holds a placeholder for each visual token.

    Nothing is known of the family: its processor expands placeholders, `get_image_features` gives
    the visual tokens, the decoder takes embeddings with positions in order and causal attention.
    `verify` compares all of that with the model's own forward pass on prompts with images, so a
    family with other positions, masks, or features inside the decoder is refused. Places in the
    image are given only where changing pixels confirms them.
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
        self._unplaced_why = "its places were not looked for"
        self._several_why = ""

    @property
    def _core(self) -> Any:
        inner = getattr(self.model, "model", None)
        return inner if hasattr(inner, "get_image_features") else self.model

    def _named_decoder(self) -> nn.Module | None:
        found = (getattr(self._core, name, None) for name in _DECODERS)
        return next((one for one in found if isinstance(one, nn.Module)), None)

    @property
    def language_model(self) -> nn.Module:
        found: Any = self._named_decoder()
        # Some hold their decoder together with its head.
        return found.model if hasattr(found, "lm_head") else found

    @property
    def placeholder_id(self) -> int:
        found = _find_placeholder_id(self.model.config)
        assert found is not None
        return found

    def unembed(self, normed: Float[Tensor, "... d_model"]) -> Float[Tensor, "... vocab"]:
        return super().unembed(normed) * self._factor

    @cached_property
    @torch.no_grad()
    def _factor(self) -> float:
        """What the model multiplies its logits by, of the factors that its config names.

        A decoder's config may have one that the decoder with images does not apply.
        """
        scale = getattr(self.text_config, "logit_scale", None) or 1.0
        divisor = getattr(self.text_config, "logits_scaling", None) or 1.0
        embeds = self.embedding.weight[None, :4]
        own = self.plain_logits(embeds)
        plain = super().unembed(self.decode(embeds)[0, -1])
        return min((1.0, scale, 1 / divisor), key=lambda one: float((plain * one - own).norm()))

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
            # One text needs none, and a tokenizer may have no token for it.
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
        return [self._features(one) for one in pixels]

    def _features(self, pixels: Mapping[str, Tensor]) -> Float[Tensor, "token d_model"]:
        encode: Any = self._core.get_image_features
        taken = inspect.signature(encode).parameters
        given = {name: self._onto_model(value) for name, value in pixels.items() if name in taken}
        found = encode(**given)
        states, found = found, getattr(found, "pooler_output", found)
        if found is None:
            found = self._projected(states.last_hidden_state)
        if isinstance(found, list | tuple):
            found = torch.cat([one.reshape(-1, one.shape[-1]) for one in found])
        return found.reshape(-1, found.shape[-1]).to(self.device, self.dtype)

    def _projected(self, states: Tensor) -> Tensor:
        """The vision tower's states as the decoder gets them, where the model's forward projects.

        Whether that is all it does to them is seen when the logits are compared.
        """
        projector = getattr(self._core, "multi_modal_projector", None)
        if projector is None:
            raise CapabilityError(
                "get_image_features gives no features that the decoder could take, and the model "
                "has no multi_modal_projector"
            )
        return projector(states.reshape(-1, states.shape[-1]))

    def _onto_model(self, value: Tensor) -> Tensor:
        return value.to(self.device, self.dtype if value.is_floating_point() else None)

    def layout(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> Layout:
        count = self.visual_count(pixels)
        if self._geometry is None:
            return unplaced(size, count, self._unplaced_why)
        try:
            return self._geometry.layout(size, pixels, count)
        except CapabilityError as error:
            return unplaced(size, count, str(error))

    def prepare(self, images: Sequence[Image.Image], formatted: Formatted) -> Inputs:
        if self._verified is not None and self._image_settings() != self._verified:
            raise CapabilityError(
                "the image processor's settings are others than when the model was loaded and "
                "checked: set them back, or load the model again with this processor"
            )
        if len(images) > 1 and self._several_why:
            raise CapabilityError(
                f"{type(self.model).__name__} takes one image per prompt here: {self._several_why}"
            )
        return super().prepare(images, formatted)

    # The check

    @torch.no_grad()
    def verify(self) -> None:
        """Checks the adapter against the model's own forward pass on prompts with images.

        Finds out besides whether visual tokens can be placed and whether a prompt may have several
        images.

        Raises:
            CapabilityError: with the reason why this family needs an adapter of its own.
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
            own = self._own_logits(formatted, images)
        except (CapabilityError, NonFiniteError):
            raise
        # A model that is called in a way it does not expect can fail with anything.
        except Exception as error:
            raise CapabilityError(f"{what} failed ({type(error).__name__}: {error})") from error
        if not finite_logits(own):
            raise not_finite(self.model, f"the model's own logits of {what}")
        found = self.unembed(hidden[-_ROWS:])
        # The same products in the same shapes: in half precision too they mostly agree bit by bit.
        if not difference(found, own) <= _TOLERANCE.get(self.dtype, _SAME_SHAPES):
            if self.dtype in _TOLERANCE:
                raise CapabilityError(
                    f"the logits of {what} are not the model's own{self._suspicion()}"
                )
            self._in_float32()._compare(images)
        rounding = _TOLERANCE.get(self.dtype, _OTHER_SHAPES)
        if not difference(self.unembed(shorter), self.unembed(hidden[-_CUT - 1])) <= rounding:
            raise CapabilityError(
                f"in {what} a position reads those after it, so its attention is not causal"
            )

    def _embedded(self, inputs: Inputs) -> Float[Tensor, "1 token d_model"]:
        embeds = self.embedding(inputs.input_ids.to(self.device)).clone()
        features = [image.embeddings for image in encoded(self, inputs.pixels)]
        for places, one in zip(inputs.image_positions, features, strict=True):
            if not places or len(one) != len(places):
                raise CapabilityError(
                    f"the model has {len(one)} features for an image where the prompt has "
                    f"{len(places)} placeholders"
                )
            embeds[list(places)] = one
        return embeds[None]

    def _own_logits(
        self, formatted: Formatted, images: Sequence[Image.Image]
    ) -> Float[Tensor, "row vocab"]:
        """Of the last positions, by the model's own forward pass on its processor's output."""
        done = self._processed(formatted.text, images)
        given = {
            name: self._onto_model(value)
            for name, value in done.items()
            if isinstance(value, Tensor)
        }
        with self.length_rule.fresh():
            return self.model(**given, use_cache=False).logits[0, -_ROWS:].float()

    def _in_float32(self) -> GenericAdapter:
        """The same for a copy of the model in float32, where an error stands out of the rounding.

        Raises:
            CapabilityError: no such copy can be made here.
        """
        try:
            return GenericAdapter(copy.deepcopy(self.model).float(), self.processor)
        # Quantised weights have none, and memory may not hold it.
        except Exception as error:
            raise CapabilityError(
                f"in {str(self.dtype).removeprefix('torch.')} its logits differ from the model's "
                "own, and no copy in float32 could be made that tells an error from rounding "
                f"({type(error).__name__}): load it in float32 (dtype=)"
            ) from error

    def _suspicion(self) -> str:
        """What in the configuration may explain a difference."""
        rotary = getattr(self.text_config, "rope_parameters", None) or {}
        if "mrope_section" in str(rotary):
            return ": its rotary positions have several axes, which are not known here"
        return ": its positions, attention masks or features inside the decoder are not known here"

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
                "incremental", f"blocks of kind {what} are not known here: the reference path"
            )
        placed = self._geometry is not None
        places = Capability("layout", placed, "" if placed else self._unplaced_why)
        return replace(done, methods=(*done.methods, places))


def _find_placeholder_id(config: Any) -> int | None:
    found = (getattr(config, name, None) for name in ("image_token_id", "image_token_index"))
    return next((int(one) for one in found if one is not None), None)


def unfit(config: PreTrainedConfig) -> str | None:
    """Why the generic adapter cannot take a model of this configuration; None if it may."""
    known: Any = AutoModelForImageTextToText._model_mapping
    if type(config) not in known:
        return "they are no image-text-to-text models of the library"
    if _find_placeholder_id(config) is None:
        return "their config has no image_token_id, so visual tokens have no place in the prompt"
    if getattr(config, "is_encoder_decoder", False):
        return "they are encoder-decoders"
    return None
