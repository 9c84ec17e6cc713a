"""The description of a scene: its options, and what is drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...errors import InputError
from ._font import BOARD_HEIGHT, SIGN_WORDS, board_width

SIZE = 144
FINE = 16
"""Layout units along each side of a pixel."""
COUNT_WEIGHTS = (15, 27, 30, 18, 10)
"""Percentages of scenes with one, two, ... objects."""


@dataclass(frozen=True)
class SceneOptions:
    """How scenes are drawn.

    `size` is the image's side in pixels, which is fixed. A scene has between `min_objects` and
    `max_objects` objects (1..5), all of different kinds. With `occlusion`, later objects may cover
    up to 35% of the visible pixels of earlier ones. `signs` is the share of scenes with a sign.
    With `more_kinds`, `MORE_KINDS` are drawn too.
    """

    size: int = SIZE
    min_objects: int = 1
    max_objects: int = 5
    occlusion: bool = False
    signs: float = 0.15
    more_kinds: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        """Raises InputError for a value out of range."""
        if self.size != SIZE:
            raise InputError(f"scenes are {SIZE} pixels wide, got size={self.size}: leave it out")
        if not 1 <= self.min_objects <= self.max_objects <= len(COUNT_WEIGHTS):
            raise InputError(
                "expected 1 <= min_objects <= max_objects <= 5, got "
                f"min_objects={self.min_objects}, max_objects={self.max_objects}: change them"
            )
        if not 0 <= self.signs <= 1:
            raise InputError(f"expected signs between 0 and 1, got {self.signs}: give a share")


@dataclass(frozen=True)
class SceneItem:
    """An object to draw. Lengths are in `FINE` units per pixel, angles in degrees."""

    kind: int
    color: int
    x: int
    y: int
    radius: int
    angle: int
    flip: bool
    stretch: tuple[int, int]
    """Factors along the shape's own x and y, in 1/256."""
    tint: tuple[int, int, int]
    """An offset to the colour's red, green and blue."""
    depth: int
    """Painting order: an object of higher depth covers one of lower depth."""


@dataclass(frozen=True)
class Board:
    """A sign to draw; `x`, `y` is its upper left pixel."""

    word: int
    x: int
    y: int
    dark: bool

    @property
    def box(self) -> tuple[int, int, int, int]:
        """x0, y0, x1, y1 in pixels, x1 and y1 exclusive."""
        return self.x, self.y, self.x + board_width(SIGN_WORDS[self.word]), self.y + BOARD_HEIGHT


@dataclass(frozen=True)
class SceneLayout:
    """A scene's content; `items` from left to right."""

    items: tuple[SceneItem, ...]
    board: Board | None
