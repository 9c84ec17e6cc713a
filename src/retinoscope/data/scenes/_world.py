"""The description of a scene: its options, and what is drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ...arguments import number
from ...errors import InputError
from ._font import BOARD_HEIGHT, SIGN_WORDS, board_width

SIZE = 144
FINE = 16
"""Layout units along each side of a pixel."""
COUNT_WEIGHTS = (15, 27, 30, 18, 10)
"""Percentages of scenes with one, two, ... objects."""

Ground = Literal["water", "land"]
GROUNDS: tuple[Ground, Ground] = ("water", "land")


@dataclass(frozen=True)
class SceneOptions:
    """How scenes are drawn.

    `size` is the image's side in pixels, which is fixed. A scene has between `min_objects` and
    `max_objects` objects (1..5), all of different kinds. With `occlusion`, later objects may cover
    up to 35% of the visible pixels of earlier ones. `signs` is the share of scenes with a sign.
    With `more_kinds`, `MORE_KINDS` are drawn too.

    Three options vary what is otherwise the same in all scenes; with any of them there are further
    questions (see `Question.kind`). `small` is the share of objects with a radius of 6 to 12 pixels
    instead of 17 to 30. `repeats` is the share of the scenes with two or more objects in which two
    are of one kind; half of these pairs differ in colour, the others only in place. `grounds` is
    the share of scenes on water or land. In 95% of them, one object is of a kind that is
    `AT_HOME` there, in the others of one that is at home on the other ground; all further objects
    are of kinds that are at home on neither (or repeat that one).
    """

    size: int = SIZE
    min_objects: int = 1
    max_objects: int = 5
    occlusion: bool = False
    signs: float = 0.15
    more_kinds: bool = field(default=False, repr=False)
    small: float = 0.0
    repeats: float = 0.0
    grounds: float = 0.0

    def __post_init__(self) -> None:
        """Raises InputError for a value out of range."""
        if self.size != SIZE:
            raise InputError(f"scenes are {SIZE} pixels wide, got size={self.size}: leave it out")
        if not 1 <= self.min_objects <= self.max_objects <= len(COUNT_WEIGHTS):
            raise InputError(
                "expected 1 <= min_objects <= max_objects <= 5, got "
                f"min_objects={self.min_objects}, max_objects={self.max_objects}: change them"
            )
        for name in ("signs", "small", "repeats", "grounds"):
            number(getattr(self, name), f"{name}, a share,", 0, 1)

    @property
    def varied(self) -> bool:
        """Whether sizes, kinds or grounds vary, so that there are further questions."""
        return bool(self.small or self.repeats or self.grounds)

    def __repr__(self) -> str:
        """Names the later options only if they are used: fingerprints are made from this text."""
        first = ("size", "min_objects", "max_objects", "occlusion", "signs")
        values = {name: getattr(self, name) for name in first}
        later = {name: float(getattr(self, name)) for name in ("small", "repeats", "grounds")}
        values |= {name: share for name, share in later.items() if share}
        return f"SceneOptions({', '.join(f'{name}={value!r}' for name, value in values.items())})"


VARIED = SceneOptions(signs=0.0, small=0.4, repeats=0.35, grounds=0.6)
"""Scenes with small objects, repeated kinds and grounds: visual interfaces are judged on them."""


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

    @property
    def radius_in_pixels(self) -> float:
        return self.radius / FINE

    def thirds(self) -> tuple[int, int]:
        """In which third of the image's width and of its height the centre lies: 0 to 2 each."""
        return 3 * self.x // (SIZE * FINE), 3 * self.y // (SIZE * FINE)


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
    """A scene's content; `items` from left to right.

    `target` is the index of the item that goes with the `ground`, or with the other one; both are
    None on the plain ground.
    """

    items: tuple[SceneItem, ...]
    board: Board | None
    ground: Ground | None = None
    target: int | None = None
