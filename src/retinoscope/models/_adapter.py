"""`Adapter`: everything that the rest of retinoscope needs from a model family."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, TypeVar

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor, nn
from transformers import Cache, PreTrainedConfig, PreTrainedModel, ProcessorMixin

from ..errors import CapabilityError, InputError, RetinoscopeError
from ._attending import own_attention
from ._capabilities import Capabilities
from ._content import digest_of
from ._decoder import Decoder, find_decoder
from ._encoded import EncodedImage
from ._entering import hooked
from ._layout import Layout, SoftOrigin
from ._lengths import LengthRule, length_rule
from ._resized import refuse_large
from ._text import Vocabulary
from ._watch import ModelState, watch_of


@dataclass(frozen=True)
class Formatted:
    """A prompt as the model reads it, before images are expanded to their tokens.

    `question` is the range of characters of the user's own words in `text`.
    """

    text: str
    question: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Inputs:
    """One prompt, ready for the decoder.

    Attributes:
        input_ids: (n,) with one placeholder id per visual token.
        image_positions: for each image, the positions of its visual tokens, in order.
        pixels: for each image, the input of `Adapter.encode`.
        layouts: for each image, the layout of its visual tokens.
        question: positions of the user's own words; None if the tokenizer cannot tell.
        n_generated: the number of positions at the end that the model generated.
        extra: data from which `Adapter.arguments` makes further arguments for the decoder.
        encoded: each image as the decoder receives it; empty before encoding.
    """

    input_ids: Int[Tensor, " token"]
    image_positions: tuple[tuple[int, ...], ...]
    pixels: tuple[Mapping[str, Tensor], ...]
    layouts: tuple[Layout, ...]
    question: tuple[int, ...] | None
    n_generated: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)
    encoded: tuple[EncodedImage, ...] = ()

    def followed_by(self, ids: Sequence[int]) -> Inputs:
        """The same prompt, followed by tokens that the model generated."""
        more = torch.tensor(list(ids), dtype=self.input_ids.dtype)
        return replace(
            self,
            input_ids=torch.cat([self.input_ids, more]),
            n_generated=self.n_generated + len(more),
        )

    def added(self) -> tuple[Float[Tensor, "token d_model"], ...]:
        """The values added at every position after each of the decoder's first blocks.

        Zero at text. Empty if the family adds nothing, or without an image.
        """
        tables: list[Tensor] = []
        for several in zip(*(image.added for image in self.encoded), strict=True):
            table = several[0].new_zeros(len(self.input_ids), several[0].shape[1])
            for places, features in zip(self.image_positions, several, strict=True):
                table[list(places)] = features
            tables.append(table)
        return tuple(tables)


class Adapter(ABC):
    """One model family on top of its Hugging Face classes.

    A family knows how images become visual embeddings, where each visual token lies in the image,
    how a prompt is written, and which modules form the decoder. The model itself is never changed.
    """

    family: ClassVar[str]
    """Name of the family, as printed by `retinoscope models`."""

    model_types: ClassVar[tuple[str, ...]]
    """`config.model_type` of the models that this adapter supports."""

    @classmethod
    def takes(cls, config: PreTrainedConfig) -> bool:
        """Whether this adapter supports models with this configuration."""
        return config.model_type in cls.model_types

    def __init__(self, model: PreTrainedModel, processor: ProcessorMixin) -> None:
        self.model = model
        self.processor = processor
        self.tokenizer: Any = getattr(processor, "tokenizer", processor)
        self.vocabulary = Vocabulary(self.tokenizer)
        self.watch = watch_of(model)
        self._known_state: tuple[int, int] | None = None

    # State of the model

    def state(self, *, values: bool = True) -> ModelState:
        """The model's current state; compares the weights with those at the last call.

        Args:
            values: see `Watch.look`.

        Raises:
            InputError: a module is in training mode.
        """
        now = self.watch.look(values=values)
        current = (now.structure, now.settings)
        if self._known_state not in (None, current):
            # The decoder's parts, and what follows its logits, must be looked up again.
            kind = type(self)
            for name in list(vars(self)):
                if isinstance(getattr(kind, name, None), cached_property):
                    del vars(self)[name]
        self._known_state = current
        return now

    def require(
        self,
        state: ModelState,
        what: str,
        alike: Callable[[ModelState], bool] | None = None,
        *,
        values: bool = True,
    ) -> None:
        """Refuses to use what was computed in a state other than the model's current one.

        Args:
            what: the thing that was computed.
            values: see `Watch.look`.
            alike: checks whether hooks that differ affect it.

        Raises:
            InputError: the model has changed since.
        """
        now = self.state(values=values)
        if now is state or now == state:
            return
        if alike is not None and now.but_for_hooks(state) and alike(now):
            return
        raise InputError(
            f"{now.changes(state)} since this {what} was made, so that it and the model no longer "
            f"belong together: make the {what} again (what it already holds, such as its logits "
            "and hidden states, can still be read)"
        )

    def image_weights(self) -> str:
        """A digest of all weights outside the decoder's blocks, which determine the visual tokens,
        as of the last look."""
        blocks = {id(layer) for layer in self.decoder.layers}
        inside = tuple(f"{n}." for n, module in self.model.named_modules() if id(module) in blocks)
        content = self.watch.content_at_last_look()
        return digest_of([item for item in content.items() if not item[0].startswith(inside)])

    # The decoder

    @cached_property
    def decoder(self) -> Decoder:
        """Layers and final norm."""
        return find_decoder(self.language_model)

    @property
    @abstractmethod
    def language_model(self) -> nn.Module:
        """The decoder's module: takes `inputs_embeds`, returns hidden states after the norm."""

    @property
    def text_config(self) -> Any:
        """The decoder's configuration."""
        return self.model.config.get_text_config()

    @property
    def n_layers(self) -> int:
        return len(self.decoder.layers)

    @property
    def n_heads(self) -> int:
        return int(self.text_config.num_attention_heads)

    @property
    def d_model(self) -> int:
        return int(self.text_config.hidden_size)

    @property
    def vocab_size(self) -> int:
        """Length of a row of logits."""
        return int(self.unembedding.weight.shape[0])

    @property
    def device(self) -> torch.device:
        """The device of the decoder's input."""
        return self.embedding.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.embedding.weight.dtype

    @property
    def context(self) -> int | None:
        """The number of positions that the decoder was made for; None without such a limit."""
        if self.length_rule.grows:
            return None
        length = getattr(self.text_config, "max_position_embeddings", None)
        return int(length) if length else None

    @property
    def attention_implementation(self) -> str:
        return own_attention(self.text_config)

    @property
    def embedding(self) -> nn.Embedding:
        """Maps token ids to the decoder's input."""
        return part_of(self.model, self.model.get_input_embeddings(), nn.Embedding)

    @property
    def unembedding(self) -> nn.Linear:
        """The head: maps hidden states after the final norm to logits."""
        return part_of(self.model, self.model.get_output_embeddings(), nn.Linear)

    @property
    def generator(self) -> Any:
        """The module whose generation_config the library's `generate` reads."""
        return self.model

    def decode(
        self, embeds: Float[Tensor, "batch token d_model"], cache: Cache | None = None, **extra: Any
    ) -> Float[Tensor, "batch token d_model"]:
        """The decoder's hidden states *after* the final norm; `cache` is read and extended."""
        with self.length_rule.fresh():
            done = self.language_model(
                inputs_embeds=embeds, past_key_values=cache, use_cache=cache is not None, **extra
            )
        return done.last_hidden_state

    @cached_property
    def length_rule(self) -> LengthRule:
        """Whether a position's rotary angles depend on the length of the text."""
        return length_rule(self.language_model)

    def angles(self, inputs: Inputs, stop: int) -> tuple[int, ...]:
        """A key, equal for two prompts if passes up to `stop` give a position the same angles."""
        if not self.length_rule:
            return ()
        places = self.arguments(inputs, 0, stop).get("position_ids")
        return self.length_rule.of(stop if places is None else int(places.max()) + 1)

    def plain_logits(self, embeds: Float[Tensor, "1 token d_model"]) -> Float[Tensor, " vocab"]:
        """float32 logits of the last position from the model's own forward pass, without an image.

        When a model is loaded, the adapter's computations are compared with it.
        """
        return self.model(inputs_embeds=embeds, use_cache=False).logits[0, -1].float()

    def arguments(self, inputs: Inputs, start: int, stop: int) -> dict[str, Any]:
        """Further arguments of `decode` for positions from `start` to `stop`.

        Positions after the prompt belong to generated text. Tensors have a batch axis of 1.
        """
        return {}

    def unembed(self, normed: Float[Tensor, "... d_model"]) -> Float[Tensor, "... vocab"]:
        """float32 logits of hidden states after the final norm, soft-capped as in the model."""
        logits = self.unembedding(normed.to(self.unembedding.weight.dtype)).float()
        cap = self.soft_cap
        return logits if cap is None else torch.tanh(logits / cap) * cap

    @cached_property
    def soft_cap(self) -> float | None:
        """The bound of the model's logits: the one in its config, if the model applies it.

        The config is the decoder's, and the head of the model around it may not cap. To find out,
        the head's output is replaced by numbers far beyond the bound.
        """
        cap = getattr(self.text_config, "final_logit_softcapping", None)
        if not cap:
            return None

        def far(_: nn.Module, __: Any, output: Tensor) -> Tensor:
            return torch.full_like(output, 8 * cap)

        with torch.no_grad(), hooked([self.unembedding], after=far):
            capped = self.plain_logits(self.embedding.weight[None, :1])
        return float(cap) if float(capped.max()) < 2 * cap else None

    def read_out(self, hidden: Float[Tensor, "... d_model"]) -> Float[Tensor, "... vocab"]:
        """float32 logits of residual-stream states *before* the final norm: the logit lens."""
        return self.unembed(self.decoder.final_norm(hidden))

    # Images

    @abstractmethod
    def layout(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> Layout:
        """Where the visual tokens of an image of `size` (width, height) came from."""

    def preprocess(self, image: Image.Image) -> Mapping[str, Tensor]:
        """Runs the image processor on one RGB image.

        Raises:
            InputError: an image that the processor would make too large for this machine (refused
                before anything is allocated), or one that it does not accept.
        """
        self.refuse_large(image.size)
        return self._preprocess(image)

    def refuse_large(self, size: tuple[int, int]) -> None:
        """Raises InputError for a size (width, height) that the processor would make too large."""
        refuse_large(size, getattr(self.processor, "image_processor", None))

    @abstractmethod
    def _preprocess(self, image: Image.Image) -> Mapping[str, Tensor]:
        """Does what `preprocess` does, for an image that is not too large."""

    @abstractmethod
    def encode_images(
        self, pixels: Sequence[Mapping[str, Tensor]]
    ) -> list[Float[Tensor, "token d_model"]]:
        """The embeddings that the decoder receives in place of each image's placeholders."""

    def encode(self, pixels: Sequence[Mapping[str, Tensor]]) -> list[EncodedImage]:
        """Everything that the decoder receives of each image. Nothing is cached."""
        return [EncodedImage(embeddings) for embeddings in self.encode_images(pixels)]

    def soft_origin(self, size: tuple[int, int], pixels: Mapping[str, Tensor]) -> SoftOrigin:
        """Where in the image each learned query looked; takes the place of boxes.

        Args:
            size: width and height of the original image.
            pixels: the image as the model receives it.

        Raises:
            CapabilityError: a family whose visual tokens have boxes.
        """
        raise CapabilityError(
            f"{self.family}: visual tokens come from patches, not from learned queries: "
            "run.image.boxes gives their places"
        )

    def no_visual(self, inputs: Inputs) -> RetinoscopeError:
        """The error for a run without visual tokens."""
        return InputError("expected a run with an image, got one of text only")

    # Text

    @abstractmethod
    def format(self, text: str, n_images: int, prefill: str | None) -> Formatted:
        """The prompt in the model's conversation format, followed by the start of an answer."""

    @abstractmethod
    def after_images(self, text: str) -> int:
        """Index in a finished prompt at which the text after the last image starts."""

    @abstractmethod
    def prepare(self, images: Sequence[Image.Image], formatted: Formatted) -> Inputs:
        """Token ids, pixels and layouts of one prompt."""

    # Limits

    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What this model supports and what is refused, and why."""


Part = TypeVar("Part", bound=nn.Module)


def part_of(model: nn.Module, module: Any, kind: type[Part]) -> Part:
    """Returns `module`, which must be a plain embedding or head.

    Raises:
        CapabilityError: there is none, or it is wrapped.
    """
    if isinstance(module, kind):
        return module
    if module is None:
        raise CapabilityError(
            f"{type(model).__name__} has no head over the vocabulary: load the model with "
            "AutoModelForImageTextToText"
        )
    actual = f"{type(module).__module__}.{type(module).__name__}"
    what = "head" if kind is nn.Linear else "token embedding"
    raise CapabilityError(
        f"{type(model).__name__}: expected a plain nn.{kind.__name__} with readable rows as its "
        f"{what}, got a {actual}: merge the adapter on it (merge_and_unload), or put the module "
        "that it wraps in its place"
    )
