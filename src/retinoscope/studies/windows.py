"""Windows of layers for attention knockout."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import arguments
from ..arguments import checked
from ..errors import InputError
from .columns import TEXT, WHOLE, Kind

PAPER_DEPTH = 32
PAPER_WINDOWS = {
    "early": (0, 9),
    "early-mid": (5, 14),
    "mid": (11, 20),
    "mid-late": (15, 24),
    "late": (21, 31),
    "all": (0, 31),
}
"""First and last layer, 0-based and inclusive, of LLaVA-1.5-7B's 32 layers (Neo et al. 2024,
section 4.2; these indices are the released code's: layer 10 belongs to neither early nor mid, and
late has eleven layers)."""


SLIDING = "sliding"


@dataclass(frozen=True)
class Window:
    """Decoder layers `first` to `last`, 0-based and inclusive.

    `name` is one of `PAPER_WINDOWS`, or "sliding".
    """

    name: str
    first: int
    last: int

    @property
    def layers(self) -> range:
        return range(self.first, self.last + 1)

    @property
    def columns(self) -> dict[str, str | int]:
        """The window as columns of a row; see `WINDOW_COLUMNS`."""
        return {
            "window": self.name,
            "first_layer": self.first,
            "last_layer": self.last,
            "width": len(self.layers),
        }

    @property
    def label(self) -> str:
        """Its name, or the layers of a sliding window."""
        return layers_label(self.first, self.last) if self.name == SLIDING else self.name


WINDOW_COLUMNS: dict[str, Kind] = {
    "window": TEXT,
    "first_layer": WHOLE,
    "last_layer": WHOLE,
    "width": WHOLE,
}


def window_label(row: Mapping[str, Any]) -> str:
    """Returns the window of a row in words."""
    return Window(row["window"], row["first_layer"], row["last_layer"]).label


def layers_label(first: int, last: int) -> str:
    """Returns layers in words: "layer 3", "layers 3 to 5"."""
    return f"layer {first}" if first == last else f"layers {first} to {last}"


def paper_windows(depth: int) -> tuple[Window, ...]:
    """Returns the paper's six windows, their borders scaled to `depth` layers.

    A border b of the 32 layers becomes b * depth / 32, rounded half up; a window keeps at least one
    layer. On 32 layers the result is the paper's own.
    """
    _check_depth(depth)
    windows = []
    for name, (first, last) in PAPER_WINDOWS.items():
        start = min(_scaled(first, depth), depth - 1)
        stop = max(_scaled(last + 1, depth), start + 1)
        windows.append(Window(name, start, stop - 1))
    return tuple(windows)


@checked
def sliding_windows(depth: int, width: int, step: int = 1) -> tuple[Window, ...]:
    """Returns all windows of `width` layers, named "sliding".

    Raises:
        InputError: `width` is not between 1 and `depth`, or `step` is below 1.
    """
    _check_depth(depth)
    if not 1 <= width <= depth:
        raise InputError(
            f"a sliding window must span 1 to {depth} layers of this model, got {width}: "
            "give a smaller width"
        )
    if step < 1:
        raise InputError(f"the step of a sliding window must be at least 1, got {step}")
    starts = range(0, depth - width + 1, step)
    return tuple(Window(SLIDING, k, k + width - 1) for k in starts)


@checked
def windows_for(
    depth: int, names: Sequence[str], slide: int | None = None, step: int = 1
) -> tuple[Window, ...]:
    """Returns the named windows of the paper, then sliding windows of width `slide` if given."""
    known = {window.name: window for window in paper_windows(depth)}
    chosen = []
    for name in names:
        if name not in known:
            raise InputError(f"unknown window {name!r}: expected one of {', '.join(known)}")
        chosen.append(known[name])
    if slide is not None:
        chosen += sliding_windows(depth, slide, step)
    if not chosen:
        raise InputError("no window of layers was given: name one, or give a sliding width")
    return tuple(chosen)


def _scaled(border: int, depth: int) -> int:
    return math.floor(border * depth / PAPER_DEPTH + 0.5)


def _check_depth(depth: int) -> None:
    arguments.whole(depth, "the number of a decoder's layers", 1)
