"""Which pictures and words an embedded model was made for: part of its card."""

from __future__ import annotations

from dataclasses import dataclass

from ._folder import MODELS

_DRAWN = 144
_SMOL = ("smol", "smol-lora")


@dataclass(frozen=True)
class KnownWorld:
    """The world that an embedded model knows.

    Attributes:
        pictures: what they show, as the card says it.
        size: width and height of its pictures in pixels.
        kinds, colors: names of the things in it.
        source: how `rs.data.open_source` names such pictures.
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
        """What is said of a picture of another size than this world has; "" for one that fits.

        A picture of the right size need not be of this world: that is not looked into.
        """
        if size == self.size:
            return ""
        return (
            f"this picture ({size[0]} x {size[1]} pixels) is none of the {self.pictures} of "
            f"{self.size[0]} x {self.size[1]} pixels that this model knows: what it says of others "
            "means nothing"
        )


def world_of(name: str) -> KnownWorld | None:
    """The world that the embedded model `name` knows; None for other models.

    A planted model knows squares, pocket and smol drawn scenes.
    """
    from ..data import SQUARE_COLORS, SQUARE_GRID, SQUARE_PATCH
    from ..data.scenes import COLORS, KINDS, MORE_KINDS

    if name.startswith("planted:"):
        side = SQUARE_GRID * SQUARE_PATCH
        squares = tuple(SQUARE_COLORS)
        return KnownWorld("drawn squares", (side, side), squares, squares, "squares:N")
    if name not in (*MODELS, *_SMOL):
        return None
    kinds = (*KINDS, *MORE_KINDS) if name in _SMOL else KINDS
    size = (_DRAWN, _DRAWN)
    return KnownWorld("drawn scenes", size, tuple(kinds), tuple(COLORS), "scenes:N")
