"""How a lens is fitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ... import arguments
from ...errors import InputError
from ...lens import At
from ._prompts import NEW_TOKENS, QUESTION

Progress = Callable[[int, int, str], None]
"""Called with what is done, all there is to do, and what was just done."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a lens is fitted.

    Args:
        at: positions of the fitted states: text, visual, or (tuned only) all.
        question: what is asked about each image.
        new_tokens: length of the model's own answer to it.
        skip_first: (jacobian) number of leading positions to leave out: by default 16 of a text and
            1 of a prompt with an image.
        steps: (tuned) number of steps.
        text_layers: (contextual) layers of the texts; by default LatentLens' own.
        width: (contextual) project states at random to this many dimensions; None to keep them.
        seed: of the positions that a step draws (tuned), or of the projection (contextual).
        shard: (k, n) for the k-th of n parts of the data; None for all of it.
        memory: the most that a pass (jacobian) or the states (tuned) take, such as "4GB"; half of
            what is free if None.
    """

    at: At | Literal["all"] = "text"
    question: str = QUESTION
    new_tokens: int = NEW_TOKENS
    skip_first: int | None = None
    steps: int = 250
    text_layers: Sequence[int] | Literal["all"] | None = None
    width: int | None = None
    seed: int = 0
    shard: tuple[int, int] | None = None
    memory: str | int | None = None

    def part(self, data: Sequence[Any]) -> Sequence[Any]:
        """The shard's part of the data.

        Raises:
            InputError: no such shard, or one without data.
        """
        if self.shard is None:
            return data
        k, n = self.shard
        n = arguments.whole(n, "the number of shards", 1)
        k = arguments.whole(k, "shard", 1, n)
        part = data[len(data) * (k - 1) // n : len(data) * k // n]
        if not len(part):
            raise InputError(f"expected data for shard {k}/{n}, got none: make fewer shards")
        return part
