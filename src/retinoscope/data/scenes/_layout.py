"""What a scene holds and where: drawn from the seed without a single pixel."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import InputError
from ._draws import LAYOUT, Draws
from ._font import BOARD_HEIGHT, SIGN_WORDS, board_width
from ._kinds import COLORS, KINDS

SIZE = 144
FINE = 16
"""Layout units along each side of a pixel."""
MAX_COVERED = 0.35

_COUNT_WEIGHTS = (15, 27, 30, 18, 10)
_RADII = (17, 30)
_GAP = 3
_MIN_STEP = 4
"""Least difference of two centres along x in pixels, so that 'left to right' is an order."""


@dataclass(frozen=True)
class SceneOptions:
    """How scenes are drawn.

    `size` is the image's side in pixels and fixed. Between `min_objects` and `max_objects` objects
    (1..5), all of different kinds. With `occlusion`, later objects may cover up to 35% of the
    visible pixels of earlier ones. `signs` is the share of scenes with a sign.
    """

    size: int = SIZE
    min_objects: int = 1
    max_objects: int = 5
    occlusion: bool = False
    signs: float = 0.15

    def __post_init__(self) -> None:
        """Raises InputError for a value outside its range."""
        if self.size != SIZE:
            raise InputError(f"scenes are {SIZE} pixels wide, got size={self.size}: leave it out")
        if not 1 <= self.min_objects <= self.max_objects <= len(_COUNT_WEIGHTS):
            raise InputError(
                "expected 1 <= min_objects <= max_objects <= 5, got "
                f"min_objects={self.min_objects}, max_objects={self.max_objects}: change them"
            )
        if not 0 <= self.signs <= 1:
            raise InputError(f"expected signs between 0 and 1, got {self.signs}: give a share")


@dataclass(frozen=True)
class Item:
    """An object to draw. Lengths are in `FINE` units a pixel, angles in degrees."""

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
    """What is added to the colour's red, green and blue."""
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
class Layout:
    """A scene's content; `items` from left to right."""

    items: tuple[Item, ...]
    board: Board | None


def check_key(index: int, seed: int) -> None:
    """Raises InputError unless both fit in 32 bits (beyond, two scenes could share a stream)."""
    for name, value in (("index", index), ("seed", seed)):
        if not 0 <= value < 2**32:
            raise InputError(f"expected 0 <= {name} < 2**32, got {value}: choose another {name}")


def layout(index: int, seed: int, options: SceneOptions) -> Layout:
    """The content of scene `index` of `seed`."""
    check_key(index, seed)
    draws = Draws(seed, index, LAYOUT)
    low, high = options.min_objects, options.max_objects
    count = low + draws.weighted(_COUNT_WEIGHTS[low - 1 : high])
    kinds = draws.distinct(count, range(len(KINDS)))
    colors = [draws.below(len(COLORS)) for _ in kinds]
    word = draws.below(len(SIGN_WORDS)) if draws.chance(options.signs) else None
    largest = _RADII[1] * FINE
    while True:
        board = None if word is None else _board(draws, word)
        # The order of painting is random, yet big objects must be placed first to find room.
        radii = sorted((draws.between(_RADII[0] * FINE, largest) for _ in kinds), reverse=True)
        items = _items(draws, kinds, colors, radii, board, options.occlusion)
        if items is not None:
            return Layout(tuple(sorted(items, key=lambda item: item.x)), board)
        largest = max(_RADII[0] * FINE, largest - FINE)


def _board(draws: Draws, word: int) -> Board:
    width = board_width(SIGN_WORDS[word])
    x, y = draws.between(2, SIZE - 2 - width), draws.between(2, SIZE - 2 - BOARD_HEIGHT)
    return Board(word, x, y, dark=bool(draws.below(2)))


def _items(
    draws: Draws,
    kinds: list[int],
    colors: list[int],
    radii: list[int],
    board: Board | None,
    occlusion: bool,
) -> list[Item] | None:
    """All items without a collision, or None where one of them found no room."""
    items: list[Item] = []
    for depth, (kind, color, radius) in enumerate(zip(kinds, colors, radii, strict=True)):
        angle, flip = draws.between(-25, 25), bool(draws.below(2))
        squeeze = draws.between(218, 256)
        stretch = (squeeze, 256) if draws.below(2) else (256, squeeze)
        shift = draws.between(-8, 8)
        tint = (
            shift + draws.between(-8, 8),
            shift + draws.between(-8, 8),
            shift + draws.between(-8, 8),
        )
        margin = radius + FINE
        for _ in range(24):
            x = draws.between(margin, SIZE * FINE - margin)
            y = draws.between(margin, SIZE * FINE - margin)
            item = Item(kind, color, x, y, radius, angle, flip, stretch, tint, depth)
            if _fits(item, items, board, occlusion):
                items.append(item)
                break
        else:
            return None
    return items


def _fits(item: Item, items: list[Item], board: Board | None, occlusion: bool) -> bool:
    if board is not None:
        x0, y0, x1, y1 = (edge * FINE for edge in board.box)
        dx, dy = max(x0 - item.x, item.x - x1, 0), max(y0 - item.y, item.y - y1, 0)
        if dx * dx + dy * dy < (item.radius + _GAP * FINE) ** 2:
            return False
    for other in items:
        dx, dy = item.x - other.x, item.y - other.y
        reach = item.radius + other.radius + _GAP * FINE
        if abs(dx) < _MIN_STEP * FINE:
            return False
        if not occlusion and dx * dx + dy * dy < reach * reach:
            return False
    return not occlusion or _leaves_visible(item, items)


def _leaves_visible(item: Item, items: list[Item]) -> bool:
    # Only here does a layout need pixels: how much a shape covers is not known from its disc.
    from ._paint import covered_shares

    return max(covered_shares([*items, item]), default=0.0) <= MAX_COVERED
