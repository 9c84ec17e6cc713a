"""The images and words that an embedded model was trained for; part of its card."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ..arguments import checked
from ._folder import MODELS

_DRAWN = 144
_SMOL = ("smol", "smol-lora")
WORLD, SCENES = "world", "scenes:N"
"""What scores.json of an adapter says that learned from nothing but drawn scenes."""


@dataclass(frozen=True)
class KnownWorld:
    """The world that an embedded model knows.

    Attributes:
        pictures: what they show, as the card says it.
        size: width and height of its pictures in pixels.
        kinds, colors: names of the things in it.
        source: how `rs.sources.open_source` names such pictures.
    """

    pictures: str
    size: tuple[int, int]
    kinds: tuple[str, ...]
    colors: tuple[str, ...]
    source: str

    def text(self) -> str:
        """The section of a model card."""
        return (
            f"The model knows {self.pictures} of {self.size[0]} x {self.size[1]} pixels "
            f"(`{self.source}`).\nThings: {', '.join(self.kinds)}.\n"
            f"Colours: {', '.join(self.colors)}.\nWhat it says of other pictures means nothing."
        )

    def strange(self, size: tuple[int, int]) -> str:
        """A note about an image of another size than the training images; "" if it fits.

        A picture of the right size need not be of this world: that is not looked into.
        """
        if size == self.size:
            return ""
        return (
            f"this picture ({size[0]} x {size[1]} pixels) is none of the {self.pictures} of "
            f"{self.size[0]} x {self.size[1]} pixels that this model knows: what it says of others "
            "means nothing"
        )


@checked
def world_of(name: str) -> KnownWorld | None:
    """The world that the embedded model `name` knows; None for other models.

    A planted model knows squares, pocket and smol drawn scenes. `name` may also be a folder of
    `retinoscope train smol`, of which `WORLD` in scores.json says whether it learned from drawn
    scenes alone.
    """
    from ..data import SQUARE_COLORS, SQUARE_GRID, SQUARE_PATCH
    from ..data.scenes import COLORS, KINDS, MORE_KINDS

    if name.startswith("planted:"):
        side = SQUARE_GRID * SQUARE_PATCH
        squares = tuple(SQUARE_COLORS)
        return KnownWorld("drawn squares", (side, side), squares, squares, "squares:N")
    if name not in (*MODELS, *_SMOL) and not _learned_from_scenes(name):
        return None
    kinds = KINDS if name in MODELS else (*KINDS, *MORE_KINDS)
    size = (_DRAWN, _DRAWN)
    return KnownWorld("drawn scenes", size, tuple(kinds), tuple(COLORS), SCENES)


def _learned_from_scenes(source: str) -> bool:
    from .smol.opened import is_adapter

    if not is_adapter(source):
        return False
    try:
        told = json.loads((Path(source).expanduser() / "scores.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(told, dict) and told.get(WORLD) == SCENES
