"""What a clean forward pass holds, and what can be read from it without another pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, Self, TypeVar
from weakref import ref

import torch
from jaxtyping import Float
from torch import Tensor

from ..arguments import whole, wholes
from ..errors import CapabilityError, InputError
from ..lens import Lens, logit_lens
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
        """The token at each position as text, a leading space kept."""
        return self.adapter.vocabulary.texts(self.inputs.input_ids.tolist())

    @property
    def ending(self) -> str:
        """The text of the last few tokens, which the continuation follows."""
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
            InputError: a prompt without an image.
            CapabilityError: a family whose visual tokens have no positions.
        """
        if not self.images:
            raise self.adapter.no_visual(self.inputs)
        return self.images[0]

    def soft_origin(self, image: int = 0) -> SoftOrigin:
        """The patches that the learned queries of an image's visual tokens attended to.

        Raises:
            InputError: no such image.
            CapabilityError: a family whose visual tokens have boxes.
        """
        if not self.images:
            raise self.adapter.no_visual(self.inputs)
        image = whole(image, "images", 0, len(self.images) - 1)
        self.require_current()
        return self.adapter.soft_origin(self.images[image].size, self.inputs.pixels[image])

    def require_current(self, *, values: bool = True) -> None:
        """Refuses to mix what this run holds with another state of the model.

        What a run holds (logits, hidden states, embeddings) can be read at any time; whatever else
        is computed of it calls this first.

        Args:
            values: also compare values of the weights, as whatever computes does.

        Raises:
            InputError: weights, modules, configuration or autocast changed since the run was made,
                or hooks that do not only look on were put on or taken off.
        """
        self.adapter.require(self._clean.state, "run", self._clean.alike_under, values=values)

    @cached_property
    def positions(self) -> NamedPositions:
        """Token sets by name; see `NamedPositions`."""
        return NamedPositions(self.sequence, self.inputs)

    def hidden(self, layer: int, positions: Where = None) -> Float[Tensor, "token d_model"]:
        """Residual stream at `positions` (all by default).

        Layer 0 is the decoder's input, layer L the output of the last block, before the final norm.
        Layer l is what block l reads: what the model adds between two blocks (DeepStack of
        Qwen3-VL) is in it. The library's `output_hidden_states` is the same but for that: it keeps
        what block l - 1 handed on, before anything is added.

        Raises:
            InputError: no such layer or position.
        """
        layer = whole(layer, "layers", 0, self.adapter.n_layers)
        states = self._clean.states(layer)
        return states if positions is None else states[list(self._places(positions))]

    def lens(
        self,
        top_k: int = 5,
        positions: Where = None,
        *,
        kernel: Literal["torch", "triton"] = "torch",
    ) -> Lens:
        """The logit lens at `positions` (all by default); see `Lens`.

        Args:
            kernel: "triton" is one fused kernel on CUDA.

        Raises:
            InputError: no such position, or `top_k` below 1 or above the vocabulary's size.
            CapabilityError: a kernel that this device or model does not allow.
        """
        rows = tuple(range(self.n)) if positions is None else self._places(positions)
        self.require_current()
        hidden = torch.stack(
            [self._clean.states(layer)[list(rows)] for layer in range(self.adapter.n_layers + 1)]
        )
        lens = logit_lens(self.adapter, hidden, rows, top_k, kernel=kernel)
        # Weakly: many lenses must not keep the caches of their runs.
        return replace(lens, _sequence=self.sequence, _of=ref(self), _state=self._clean.state)

    def _places(self, where: TokenSet | int | Iterable[int] | str) -> tuple[int, ...]:
        if isinstance(where, str):
            where = self.positions[where]
        if isinstance(where, TokenSet):
            if where.sequence is not self.sequence:
                raise InputError("expected positions of this run, got a token set of another run")
            found = where.positions
        else:
            found = wholes(where, "positions", 0, self.n - 1, Position)
        if not found:
            raise InputError(f"expected positions from 0 to {self.n - 1}, got none")
        return found

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
    user's own words, without the conversation's markers (of a raw prompt: everything after the last
    image). "generated": what the model wrote itself, empty unless the run came from
    `generation.run()`.

    Raises:
        CapabilityError: "question" with a tokenizer that cannot tell.
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
                    "this tokenizer does not say where the question's tokens are: use "
                    "run.positions['text']"
                )
            return TokenSet.of(self._sequence, inputs.question)
        raise InputError(f"expected one of {', '.join(self.NAMES)}, got {name!r}")

    def __iter__(self) -> Iterator[str]:
        return iter(self.NAMES)

    def __len__(self) -> int:
        return len(self.NAMES)
