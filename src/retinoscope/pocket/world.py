"""The images and words for which an embedded model was trained; part of its card."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ..arguments import checked
from ._folder import MODELS

_DRAWN = 144
_SMOL = ("smol", "smol-lora")
WORLD, SCENES = "world", "scenes:N"
"""The entry in scores.json of an adapter that was trained on drawn scenes only."""


@dataclass(frozen=True)
class KnownWorld:
    """The world that an embedded model knows.

    Attributes:
        pictures: what they show, as on the card.
        size: width and height of its pictures in pixels.
        kinds, colors: names of the things in it.
        source: the name of such pictures for `rs.sources.open_source`.
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
        """A note about an image whose size is not that of the training images; "" if it is.

        Whether a picture of the right size is from this world is not checked.
        """
        if size == self.size:
            return ""
        return (
            f"this picture ({size[0]} x {size[1]} pixels) is not one of the {self.pictures} of "
            f"{self.size[0]} x {self.size[1]} pixels that this model knows: what it says of others "
            "means nothing"
        )


@checked
def world_of(name: str) -> KnownWorld | None:
    """The world that the embedded model `name` knows; None for other models.

    A planted model knows squares, pocket and smol drawn scenes, an interface varied ones. `name`
    may also be a folder of `retinoscope train smol`, if `WORLD` in scores.json says that it was
    trained on drawn scenes only.
    """
    from ..data import SQUARE_COLORS, SQUARE_GRID, SQUARE_PATCH
    from ..data.scenes import COLORS, KINDS, MORE_KINDS

    if name.startswith("planted:"):
        side = SQUARE_GRID * SQUARE_PATCH
        squares = tuple(SQUARE_COLORS)
        return KnownWorld("drawn squares", (side, side), squares, squares, "squares:N")
    size = (_DRAWN, _DRAWN)
    if name.startswith("interface:"):
        return KnownWorld("varied drawn scenes", size, tuple(KINDS), tuple(COLORS), "varied:N")
    if name not in (*MODELS, *_SMOL) and not _learned_from_scenes(name):
        return None
    kinds = KINDS if name in MODELS else (*KINDS, *MORE_KINDS)
    return KnownWorld("drawn scenes", size, tuple(kinds), tuple(COLORS), SCENES)


def _learned_from_scenes(source: str) -> bool:
    from .smol.opened import is_adapter

    if not is_adapter(source):
        return False
    try:
        facts = json.loads((Path(source).expanduser() / "scores.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(facts, dict) and facts.get(WORLD) == SCENES
