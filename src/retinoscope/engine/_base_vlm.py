"""A vision-language model with its prompts and images, before it runs anything."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import xxhash
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel, ProcessorMixin

from .. import arguments
from ..data import ImageSource, open_image, several_images
from ..errors import CapabilityError, InputError, UnknownWordsWarning
from ..models import (
    Adapter,
    Capabilities,
    EncodedImage,
    Formatted,
    Inputs,
    ModelState,
    described,
    digest_of,
    encoded,
    in_turn,
    length_warning_held,
    processor_facts,
)
from ..pocket import KnownWorld, world_of
from ._check import self_check
from ._prompt import Prompt, refuse_longer, unknown_words

_KEPT_IMAGES = 64


class BaseVLM:
    """A vision-language model and its processor, with prompts and images; `VLM` also runs it."""

    def __init__(self, adapter: Adapter, name: str) -> None:
        self.adapter = adapter
        self.name = name
        self.model: PreTrainedModel = adapter.model
        self.processor: ProcessorMixin = adapter.processor
        self.tokenizer: Any = adapter.tokenizer
        self.capabilities: Capabilities = adapter.capabilities()
        self._images: OrderedDict[object, EncodedImage] = OrderedDict()
        self._checked = False
        self._state = adapter.state()

    def check(self) -> None:
        """Checks the model against its adapter and records in `capabilities` what is exact.

        Called by `load`, and again automatically when modules or the configuration change.

        Raises:
            CapabilityError: a check failed.
        """
        self._checked = True
        self.capabilities = self_check(self.adapter, self.capabilities)

    def state(self) -> ModelState:
        """Returns the model's current state: weights, modules, configuration and hooks.

        Raises:
            InputError: a module is in training mode.
            CapabilityError: modules or configuration have changed, and now a check fails.
        """
        now, before = self.adapter.state(), self._state
        if now is not before:
            if (now.structure, now.settings) != (before.structure, before.settings):
                capabilities = self.adapter.capabilities()
                if self._checked:
                    capabilities = self_check(self.adapter, capabilities)
                self.capabilities = capabilities
            self._state = now
        return now

    def weights_changed(self) -> None:
        """Declares that weights were edited in a way that cannot be detected; see `docs/engine.md`.

        Earlier results are then treated as those of another model. Also releases the old weights,
        which are otherwise held until the next run.
        """
        self.adapter.watch.changed()

    @property
    def knows(self) -> KnownWorld | None:
        """The pictures and words for which an embedded model was made; None for other models."""
        return world_of(self.name)

    @property
    def n_layers(self) -> int:
        """Blocks of the decoder."""
        return self.adapter.n_layers

    @property
    def n_heads(self) -> int:
        """Query heads of a block."""
        return self.adapter.n_heads

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return self.adapter.d_model

    @property
    def vocab_size(self) -> int:
        """Length of a row of logits."""
        return self.adapter.vocab_size

    @property
    def dtype(self) -> torch.dtype:
        return self.adapter.dtype

    @property
    def device(self) -> torch.device:
        return self.adapter.device

    def prompt(
        self,
        image: ImageSource | Sequence[ImageSource] | None,
        text: str,
        prefill: str | None = None,
        *,
        raw: bool = False,
    ) -> Prompt:
        """Makes a prompt in the model's conversation format.

        Args:
            image: a path, PIL image, array or bytes; several of them; or None for text only.
            text: the user's text.
            prefill: the beginning of the answer, which the model continues.
            raw: `text` is the whole prompt already, with one image placeholder per image; the
                question is then everything after the last image.

        Raises:
            InputError: an image cannot be read, text or prefill are empty or not a text, a text
                that is not raw contains special tokens, the numbers of image placeholders and
                images differ, or the prompt exceeds the model's context.
            CapabilityError: the chat template changes the text.

        Warns:
            UnknownWordsWarning: the tokenizer does not know a word; see `Prompt.unknown`.
        """
        if not arguments.text(text, "the prompt's text").strip():
            raise InputError("expected a text for the prompt, got an empty one")
        if prefill is not None:
            arguments.text(prefill, "the prefill")
        many = isinstance(image, list | tuple)
        sources: Sequence[Any] = [] if image is None else image if many else [image]
        images = tuple(open_image(source) for source in sources)
        if arguments.flag(raw, "raw"):
            if prefill is not None:
                raise InputError("expected no prefill with a raw prompt: write it into the text")
            formatted = Formatted(text, (self.adapter.after_images(text), len(text)))
        else:
            formatted = self.adapter.format(text, len(images), prefill)
        with length_warning_held():
            inputs = self.adapter.prepare(images, formatted)
            refuse_longer(self.adapter, inputs)
        unknown = self.adapter.vocabulary.unknown(" ".join((text, prefill or "")))
        if unknown:
            warnings.warn(unknown_words(unknown), UnknownWordsWarning, stacklevel=2)
        return Prompt(images, text, prefill, formatted.text, inputs, unknown)

    def _embedded(self, inputs: Inputs) -> Float[Tensor, "token d_model"]:
        """Returns the decoder's input: token embeddings with the images in their places."""
        embeddings = self.adapter.embedding(inputs.input_ids.to(self.device)).clone()
        # Some families read their images elsewhere than at positions.
        images = inputs.encoded if inputs.image_positions else ()
        for positions, image in zip(inputs.image_positions, images, strict=True):
            n_tokens = len(image.embeddings)
            if n_tokens != len(positions):
                raise InputError(
                    f"expected {len(positions)} visual tokens, got {n_tokens} from the vision "
                    "tower: the processor belongs to another model"
                )
            embeddings[list(positions)] = image.embeddings
        return embeddings

    @in_turn(lambda self: self.model)
    @torch.no_grad()
    def encode(self, images: Sequence[ImageSource]) -> list[Float[Tensor, "token d_model"]]:
        """Returns the visual tokens of each image, encoded as one batch and not cached.

        Only the embeddings at the images' positions: `encode_whole` returns everything else too.

        Raises:
            InputError: `images` is not a list, an image cannot be read, or the model is in training
                mode.
            CapabilityError: the family reads its images elsewhere than at positions.
        """
        whole = self.encode_whole(images)
        if any(image.read is not None for image in whole):
            raise CapabilityError(
                f"{self.capabilities.architecture} has no visual tokens in its decoder's input: "
                "vlm.encode_whole returns what its cross-attention blocks read"
            )
        return [image.embeddings for image in whole]

    @in_turn(lambda self: self.model)
    @torch.no_grad()
    def encode_whole(self, images: Sequence[ImageSource]) -> list[EncodedImage]:
        """Like `encode`, with everything else that the decoder receives from each image."""
        given = several_images(images)
        self.state()
        pixels = [self.adapter.preprocess(open_image(one)) for one in given]
        return encoded(self.adapter, pixels)

    def _with_images(self, inputs: Inputs, state: ModelState) -> Inputs:
        images = tuple(self._one_image(pixels, state) for pixels in inputs.pixels)
        return replace(inputs, encoded=images)

    def _one_image(self, pixels: Mapping[str, Tensor], state: ModelState) -> EncodedImage:
        # Tensors made in inference mode cannot take part in a pass with gradients later.
        key = (_digest(pixels), state, torch.is_inference_mode_enabled())
        if key not in self._images:
            # One at a time: the encoding must not depend on other images in a batch.
            self._images[key] = encoded(self.adapter, [pixels])[0]
            if len(self._images) > _KEPT_IMAGES:
                self._images.popitem(last=False)
        self._images.move_to_end(key)
        return self._images[key]

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change with the weights, the architecture or the processor.

        Every byte of the weights is read, once for each state of the model; of the processor,
        everything that prompts and pixels depend on is read at each call, including tokenizer and
        image processor. The same weights in another dtype have another fingerprint.
        """
        weights = sorted(self.adapter.watch.content().items())
        facts = [described(self.model.config), processor_facts(self.processor)]
        return digest_of([*facts, weights])

    def __repr__(self) -> str:
        return f"VLM({self.name!r}, {self.capabilities.family}, {self.dtype}, {self.device})"


def _digest(pixels: Mapping[str, Tensor]) -> bytes:
    digest = xxhash.xxh3_128()
    for name, value in sorted(pixels.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.contiguous().numpy().data)
    return digest.digest()
