"""What a clean forward pass holds, and what can be read from it without another pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, Self, TypeVar
from weakref import ref

from jaxtyping import Float
from torch import Tensor

from ..arguments import whole, wholes
from ..errors import CapabilityError, InputError
from ..lens import Kernel, Kind, Lens, kind_of
from ..models import Adapter, Inputs, SoftOrigin
from ..tokens import Position, Positions, TokenSet, VisualTokens
from ._base_vlm import BaseVLM
from ._clean import Clean
from ._prompt import Prompt

Where = TokenSet | int | Iterable[int] | Literal["last"] | None


@dataclass(frozen=True, eq=False, repr=False)
class BaseRun(ABC):
    """What one clean forward pass of a prompt holds; `Run` also computes with it."""

    vlm: BaseVLM
    prompt: Prompt
    inputs: Inputs
    sequence: Positions
    _clean: Clean = field(repr=False)

    @property
    def embeddings(self) -> Float[Tensor, "token d_model"]:
        """The decoder's input, images included."""
        return self._clean.embeddings

    @property
    def logits(self) -> Float[Tensor, " vocab"]:
        """float32 logits of the last position."""
        return self._clean.logits

    @property
    def adapter(self) -> Adapter:
        """The model family's adapter."""
        return self.vlm.adapter

    @property
    def n(self) -> int:
        """Number of positions."""
        return self.sequence.n

    @cached_property
    def tokens(self) -> list[str]:
        """The token at each position as text, with its leading space."""
        return self.adapter.vocabulary.texts(self.inputs.input_ids.tolist())

    @property
    def ending(self) -> str:
        """The text of the last few tokens, before the continuation."""
        return self.adapter.vocabulary.ending(self.inputs.input_ids.tolist())

    @property
    def images(self) -> tuple[VisualTokens, ...]:
        """The visual tokens of each image."""
        return self._images

    @cached_property
    def _images(self) -> tuple[VisualTokens, ...]:
        return tuple(
            VisualTokens(self.sequence, number, self.embeddings[list(positions)])
            for number, (positions, _) in enumerate(self.sequence.images)
        )

    @property
    def image(self) -> VisualTokens:
        """The visual tokens of the first image.

        Raises:
            InputError: the prompt has no image.
            CapabilityError: the family's visual tokens have no positions.
        """
        if not self.images:
            raise self.adapter.no_visual(self.inputs)
        return self.images[0]

    def soft_origin(self, image: int = 0) -> SoftOrigin:
        """Returns the patches to which the learned queries of an image's visual tokens attended.

        Raises:
            InputError: there is no such image.
            CapabilityError: the family's visual tokens have boxes.
        """
        if not self.images:
            raise self.adapter.no_visual(self.inputs)
        image = whole(image, "images", 0, len(self.images) - 1)
        self.require_current()
        return self.adapter.soft_origin(self.images[image].size, self.inputs.pixels[image])

    def require_current(self, *, values: bool = True) -> None:
        """Refuses to combine this run's results with another state of the model.

        What a run holds (logits, hidden states, embeddings) can be read at any time; everything
        else that is computed from it calls this first.

        Args:
            values: also compare the values of the weights, which everything that computes needs.

        Raises:
            InputError: weights, modules, configuration or autocast have changed since the run was
                made, or hooks that do more than read were added or removed.
        """
        self.adapter.require(self._clean.state, "run", self._clean.alike_under, values=values)

    @cached_property
    def positions(self) -> NamedPositions:
        """Token sets by name; see `NamedPositions`."""
        return NamedPositions(self.sequence, self.inputs)

    def hidden(self, layer: int, positions: Where = None) -> Float[Tensor, "token d_model"]:
        """Returns the residual stream at `positions` (all by default).

        Layer 0 is the decoder's input, layer L the output of the last block, before the final norm.
        Layer l is the input of block l, including what the model adds between two blocks
        (DeepStack of Qwen3-VL). The library's `output_hidden_states` differs only there: it holds
        the output of block l - 1, before anything is added.

        Raises:
            InputError: there is no such layer or position.
        """
        layer = whole(layer, "layers", 0, self.adapter.n_layers)
        states = self._clean.states(layer)
        return states if positions is None else states[list(self._places(positions))]

    def lens(
        self,
        top_k: int = 5,
        positions: Where = None,
        *,
        kind: str | Kind = "logit",
        layers: Iterable[int] | int | None = None,
        kernel: Kernel = "torch",
    ) -> Lens:
        """Reads states as words at `positions` (all by default); see `Lens`.

        Args:
            top_k: number of words per position.
            positions: where to read.
            kind: "logit", "embedding" or another kind; see `retinoscope.lens`.
            layers: the layers to read, numbered as in `hidden`; None for all that the kind reads.
            kernel: "triton" is one fused kernel on CUDA.

        Raises:
            InputError: there is no such position, layer or kind, `top_k` is not between 1 and the
                vocabulary's size, or the lens was fitted to another model.
            CapabilityError: this device or model does not support the kernel or the kind.
        """
        reader = kind_of(kind)
        rows = tuple(range(self.n)) if positions is None else self._places(positions)
        self.require_current()
        lens = reader.read(self, rows, self._layers(reader, layers), top_k, kernel)
        # A weak reference: many lenses must not keep the caches of their runs alive.
        return replace(lens, _sequence=self.sequence, _of=ref(self), _state=self._clean.state)

    def _layers(self, kind: Kind, layers: Iterable[int] | int | None) -> tuple[int, ...]:
        known = kind.layers(self.adapter)
        if layers is None:
            return known
        chosen = tuple(sorted(set(wholes(layers, "layers", 0, self.adapter.n_layers))))
        missing = [layer for layer in chosen if layer not in known]
        if missing or not chosen:
            raise InputError(
                f"expected layers that the {kind.name} lens reads ({known[0]} to {known[-1]}), got "
                f"{missing[0] if missing else 'none'}"
            )
        return chosen

    def _places(self, where: TokenSet | int | Iterable[int] | str) -> tuple[int, ...]:
        if isinstance(where, str):
            where = self.positions[where]
        if isinstance(where, TokenSet):
            if where.sequence is not self.sequence:
                raise InputError("expected positions of this run, got a token set of another run")
            places = where.positions
        else:
            places = wholes(where, "positions", 0, self.n - 1, Position)
        if not places:
            raise InputError(f"expected positions from 0 to {self.n - 1}, got none")
        return places

    @abstractmethod
    def with_continuation(self, token_ids: Sequence[int]) -> Self:
        """See `Run.with_continuation`."""

    def __repr__(self) -> str:
        return f"Run({self.n} positions, {len(self.images)} images, {self.prompt.text!r})"


RunT = TypeVar("RunT", bound=BaseRun)
"""The kind of run that effects and continuations belong to."""


class NamedPositions(Mapping[str, TokenSet]):
    """Token sets of a run by name.

    "last": the last position. "image": all visual tokens. "text": all others. "question": the
    user's own text, without the conversation's markers (of a raw prompt: everything after the last
    image). "generated": the model's own tokens, empty unless the run was made by
    `generation.run()`.

    Raises:
        CapabilityError: "question", if the tokenizer does not report where it is.
        InputError: another name.
    """

    NAMES = ("last", "image", "question", "text", "generated")

    def __init__(self, sequence: Positions, inputs: Inputs) -> None:
        self._sequence, self._inputs = sequence, inputs

    def __getitem__(self, name: str) -> TokenSet:
        n, inputs = self._sequence.n, self._inputs
        visual = [place for positions in inputs.image_positions for place in positions]
        if name == "last":
            return TokenSet.of(self._sequence, [n - 1])
        if name == "image":
            return TokenSet.of(self._sequence, visual, visual)
        if name == "text":
            return TokenSet.of(self._sequence, set(range(n)) - set(visual))
        if name == "generated":
            return TokenSet.of(self._sequence, range(n - inputs.n_generated, n))
        if name == "question":
            if inputs.question is None:
                raise CapabilityError(
                    "this tokenizer does not report where the question's tokens are: use "
                    "run.positions['text']"
                )
            return TokenSet.of(self._sequence, inputs.question)
        raise InputError(f"expected one of {', '.join(self.NAMES)}, got {name!r}")

    def __iter__(self) -> Iterator[str]:
        return iter(self.NAMES)

    def __len__(self) -> int:
        return len(self.NAMES)
