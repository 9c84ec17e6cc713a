"""Sets of layers in which edges are blocked: all, a window, all but a window, from one on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...arguments import checked
from ...errors import InputError
from ..windows import SLIDING, Window, sliding_windows

KINDS = ("all", "slide", "keep", "from")
"""All layers; a sliding window; all but a sliding window (Kaduri et al.: which part of the layers
suffices?); and from one layer on (their sweep)."""


@dataclass(frozen=True)
class LayerSet:
    """Layers in which edges are blocked.

    Attributes:
        kind: of `KINDS`.
        layers: 0-based blocks.
        window: the window that is blocked, or the one that is kept.
    """

    kind: str
    layers: tuple[int, ...]
    window: Window

    @property
    def columns(self) -> dict[str, str | int]:
        """The set as columns of a row."""
        return {
            "layers": self.kind,
            "first_layer": self.window.first,
            "last_layer": self.window.last,
            "n_layers": len(self.layers),
        }


@checked
def layer_sets(
    depth: int, kinds: Sequence[str], width: int | None = None, step: int | None = None
) -> tuple[LayerSet, ...]:
    """Returns the layer sets of these kinds for a decoder of `depth` blocks.

    Args:
        depth: number of blocks.
        kinds: of `KINDS`.
        width: width of sliding windows; a quarter of the depth, at least 1, if None.
        step: layers between two windows; `width` if None, so that they do not overlap.

    Raises:
        InputError: an unknown kind or none, a width that the depth does not allow (keeping all
            layers would block nothing), or a step below 1.
    """
    chosen = tuple(kinds)
    unknown = [kind for kind in chosen if kind not in KINDS]
    if unknown or not chosen:
        got = repr(unknown[0]) if unknown else "none"
        raise InputError(f"expected kinds of layer sets ({', '.join(KINDS)}), got {got}")
    width = max(1, round(depth / 4)) if width is None else width
    windows = sliding_windows(depth, width, width if step is None else step)
    sets: list[LayerSet] = []
    for kind in chosen:
        if kind == "all":
            sets.append(LayerSet(kind, tuple(range(depth)), Window("all", 0, depth - 1)))
        if kind == "slide":
            sets += [LayerSet(kind, tuple(w.layers), w) for w in windows]
        if kind == "keep":
            sets += [_all_but(window, depth) for window in windows]
        if kind == "from":
            sets += [_from(window.first, depth) for window in windows if window.first]
    return tuple(sets)


def _all_but(window: Window, depth: int) -> LayerSet:
    layers = tuple(layer for layer in range(depth) if layer not in window.layers)
    if not layers:
        raise InputError(
            f"a window of {depth} layers that is kept leaves none of this model's {depth} to block "
            "edges in: give a smaller width"
        )
    return LayerSet("keep", layers, window)


def _from(first: int, depth: int) -> LayerSet:
    window = Window(SLIDING, first, depth - 1)
    return LayerSet("from", tuple(window.layers), window)
