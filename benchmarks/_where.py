"""Where a program's time goes: inside the model, and in which room of the library otherwise."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

import retinoscope
from retinoscope.lens._head import VocabularyHead

_SOURCE = Path(retinoscope.__file__).parent
_PERIOD = 0.004
"""Seconds between two looks at the stack."""


@dataclass
class Inside:
    """Seconds inside the outermost call of the watched modules, and in backward passes."""

    seconds: float = 0.0
    depth: int = 0
    _start: float = 0.0

    def enter(self, *_: Any) -> None:
        if self.depth == 0:
            self._start = time.perf_counter()
        self.depth += 1

    def leave(self, *_: Any) -> None:
        self.depth -= 1
        if self.depth == 0:
            self.seconds += time.perf_counter() - self._start


@contextmanager
def inside(outer: Sequence[nn.Module]) -> Iterator[Inside]:
    """Watches the forward passes of `outer`, every backward pass, and the lens's products.

    Raises:
        RuntimeError: a module was entered and not left when the block ended.
    """
    inside = Inside()
    handles: list[Any] = []
    for module in outer:
        handles.append(module.register_forward_pre_hook(inside.enter))
        # Also where an exception ends the call: the engine stops a block at its keys so.
        handles.append(module.register_forward_hook(inside.leave, always_call=True))

    def watched(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            inside.enter()
            try:
                return function(*args, **kwargs)
            finally:
                inside.leave()

        return call

    # The lens multiplies with stretches of the unembedding, not by calling it.
    with (
        patch.object(torch.autograd, "grad", watched(torch.autograd.grad)),
        patch.object(VocabularyHead, "scores", watched(VocabularyHead.scores)),
    ):
        try:
            yield inside
            if inside.depth:
                raise RuntimeError("a module was entered and not left: its time cannot be told")
        finally:
            for handle in handles:
                handle.remove()


@dataclass
class Samples:
    """Looks at a thread's stack.

    Attributes:
        places: how often each place was found; see `_place`.
    """

    places: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        return sum(self.places.values())

    def shares(self) -> dict[str, float]:
        """Share of all looks, the largest first."""
        return {name: count / self.total for name, count in self.places.most_common()}


@contextmanager
def sampled() -> Iterator[Samples]:
    """Looks at this thread every few milliseconds from another one."""
    samples = Samples()
    watched = threading.get_ident()
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(_PERIOD):
            frame = sys._current_frames().get(watched)
            if frame is not None:
                samples.places[_place(frame)] += 1

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        stop.set()
        thread.join()


def _place(frame: FrameType) -> str:
    """The innermost code of the library, or "model" where a module of transformers is inside it."""
    in_model = False
    at: FrameType | None = frame
    while at is not None:
        name = at.f_code.co_filename
        if name.startswith(str(_SOURCE)):
            room = Path(name).relative_to(_SOURCE).with_suffix("").parts
            where = "/".join(part.strip("_") for part in room)
            if in_model:
                return "model"
            # The engine's attention is called by the model's blocks and does their arithmetic.
            return "model" if where == "engine/attend" else where
        if "/torch/nn/modules/" in name or "/torch/autograd/" in name:
            in_model = True
        at = at.f_back
    return "other"
