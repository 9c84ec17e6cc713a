"""The contents of a scene and their places, drawn from the seed; needs pixels only for overlaps."""

from __future__ import annotations

from ...arguments import whole
from ._draws import LAYOUT, VARIETY, Draws
from ._font import BOARD_HEIGHT, SIGN_WORDS, board_width
from ._kinds import ALL_KINDS, COLORS, KINDS
from ._paint import covered_shares
from ._variety import vary
from ._world import COUNT_WEIGHTS, FINE, SIZE, Board, SceneItem, SceneLayout, SceneOptions

MAX_COVERED = 0.35
"""Largest share of an object's own pixels that later objects may cover, with occlusion."""

_RADII = (17, 30)
_SMALL_RADII = (6 * FINE, 12 * FINE)
_GAP = 3
_MIN_STEP = 4
"""Least difference along x of two centres in pixels, so that 'left to right' is an order."""
_TRIES = 24


def check_key(index: int, seed: int) -> None:
    """Raises InputError unless both fit in 32 bits (beyond, two scenes could share a stream)."""
    whole(index, "index", 0, 2**32 - 1)
    whole(seed, "seed", 0, 2**32 - 1)


def layout(index: int, seed: int, options: SceneOptions) -> SceneLayout:
    """Draws the content of scene `index` of `seed`."""
    check_key(index, seed)
    draws = Draws(seed, index, LAYOUT)
    low, high = options.min_objects, options.max_objects
    count = low + draws.weighted(COUNT_WEIGHTS[low - 1 : high])
    known = ALL_KINDS if options.more_kinds else KINDS
    kinds = draws.distinct(count, range(len(known)))
    colors = [draws.below(len(COLORS)) for _ in kinds]
    cast = vary(kinds, colors, Draws(seed, index, VARIETY), options)
    word = draws.below(len(SIGN_WORDS)) if draws.chance(options.signs) else None
    largest = _RADII[1] * FINE
    while True:
        board = None if word is None else _board(draws, word)
        # Big objects are placed first, while there is room.
        bounds = [_SMALL_RADII if small else (_RADII[0] * FINE, largest) for small in cast.small]
        radii = sorted((draws.between(*bound) for bound in bounds), reverse=True)
        items = _items(draws, cast.kinds, cast.colors, radii, board, options.occlusion)
        if items is not None:
            ordered = tuple(sorted(items, key=lambda item: item.x))
            # An item's depth is its place in the cast.
            target = next((i for i, item in enumerate(ordered) if item.depth == cast.target), None)
            return SceneLayout(ordered, board, cast.ground, target)
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
) -> list[SceneItem] | None:
    """Places all items without collisions; None if one of them finds no room."""
    items: list[SceneItem] = []
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
        for _ in range(_TRIES):
            x = draws.between(margin, SIZE * FINE - margin)
            y = draws.between(margin, SIZE * FINE - margin)
            item = SceneItem(kind, color, x, y, radius, angle, flip, stretch, tint, depth)
            if _fits(item, items, board, occlusion):
                items.append(item)
                break
        else:
            return None
    return items


def _fits(item: SceneItem, items: list[SceneItem], board: Board | None, occlusion: bool) -> bool:
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
    # Only a shape's pixels, not its disc, show how much it covers.
    return not occlusion or max(covered_shares([*items, item])) <= MAX_COVERED
