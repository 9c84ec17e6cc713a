"""A board with a word on it: what is drawn from a seed, and the pixels.

Lengths are in whole cells of the board's grid, `SUPER` along each side of a pixel, and letters come
from a packaged sheet, so that a board's pixels are the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from string import ascii_lowercase
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from ...arguments import number
from ...errors import InputError
from ..scenes._draws import Draws

HEIGHT, WIDTH = 24, 96
SHORTEST, LONGEST = 4, 8
"""Letters of a word."""
ALPHABET = ascii_lowercase

Occlusion = Literal["none", "weak", "heavy", "full"]
"""What lies on one letter: nothing; one stroke in the colour of the board; two; a cover."""
OCCLUSIONS: tuple[Occlusion, ...] = get_args(Occlusion)

SUPER = 4
_HOME = Path(__file__).parent
_EM, _CELL, _BASELINE = 64, (80, 84), 62
_LAYOUT, _PIXELS, _STROKES = 16, 17, 18
"""Streams of their own, apart from those of scenes."""
_SIZES = (15 * SUPER, 19 * SUPER)
_MARGIN, _LEVEL = 3 * SUPER, 17 * SUPER


@dataclass(frozen=True)
class BoardOptions:
    """How boards are drawn.

    Attributes:
        occlusion: of one letter, drawn at random, on each board.
        strings: share of the boards with a string of random letters in place of a word.
    """

    occlusion: Occlusion = "none"
    strings: float = 0.0

    def __post_init__(self) -> None:
        """Raises InputError for an unknown occlusion, or a share outside 0..1."""
        if self.occlusion not in OCCLUSIONS:
            raise InputError(
                f"expected an occlusion of {', '.join(OCCLUSIONS)}, got {self.occlusion!r}"
            )
        number(self.strings, "strings, a share,", 0, 1)


@dataclass(frozen=True)
class Letter:
    """One letter on a board; lengths in cells.

    Attributes:
        letter: from `ALPHABET`.
        x, y: left edge and baseline.
        size: of the font.
        slant: columns by which it leans to the right per 16 rows.
        thin: least coverage of the sheet that counts as ink, 0..255: a high one gives thin lines.
    """

    letter: str
    x: int
    y: int
    size: int
    slant: int
    thin: int

    @property
    def width(self) -> int:
        """Of the upright letter."""
        return -(-sheet(self.letter).shape[1] * self.size // _EM)


@dataclass(frozen=True)
class BoardLayout:
    """What is drawn on a board.

    Attributes:
        word: lower case.
        known: whether it is from the lexicon.
        letters: from left to right.
        dark: whether the letters are light on a dark board.
        drawn: index of the letter that an occlusion lies on.
        hidden: the same, or None if there is no occlusion.
    """

    word: str
    known: bool
    letters: tuple[Letter, ...]
    dark: bool
    drawn: int
    hidden: int | None


@cache
def lexicon() -> tuple[str, ...]:
    """English words of four to eight letters, in alphabetical order."""
    return tuple((_HOME / "lexicon.txt").read_text("utf-8").split())


@cache
def sheet(letter: str) -> UInt8[np.ndarray, "rows columns"]:
    """A letter's coverage, cut at its left and right edge; row `_BASELINE` is the baseline."""
    with Image.open(_HOME / "glyphs.png") as image:
        whole = np.asarray(image.convert("L"))
    start = ALPHABET.index(letter) * _CELL[0]
    cell = whole[:, start : start + _CELL[0]]
    columns = np.flatnonzero(cell.any(0))
    return cell[:, columns[0] : columns[-1] + 1]


def board_layout(index: int, seed: int = 0, options: BoardOptions | None = None) -> BoardLayout:
    """The content of board `index` of `seed`, which does not depend on what hides a letter."""
    options = options or BoardOptions()
    draws = Draws(seed, index, _LAYOUT)
    known = not draws.chance(options.strings)
    if known:
        word = lexicon()[draws.below(len(lexicon()))]
    else:
        length = draws.between(SHORTEST, LONGEST)
        word = "".join(ALPHABET[draws.below(len(ALPHABET))] for _ in range(length))
    drawn = draws.below(len(word))
    dark = bool(draws.below(2))
    hidden = None if options.occlusion == "none" else drawn
    return BoardLayout(word, known, _placed(word, draws), dark, drawn, hidden)


def _placed(word: str, draws: Draws) -> tuple[Letter, ...]:
    """Sizes, gaps and heights at random, as wide as there is room for, somewhere on the board."""
    size, slant, thin = draws.between(*_SIZES), draws.between(-2, 3), draws.between(80, 168)
    gap = draws.between(SUPER, 2 * SUPER)
    letters = [
        Letter(
            letter,
            0,
            draws.between(-SUPER // 2, SUPER // 2),
            size * draws.between(94, 106) // 100,
            slant,
            thin,
        )
        for letter in word
    ]
    room = WIDTH * SUPER - 2 * _MARGIN
    wide = sum(letter.width for letter in letters) + gap * (len(word) - 1)
    if wide > room:
        letters = [replace(each, size=each.size * room // wide) for each in letters]
        gap = gap * room // wide
        wide = sum(letter.width for letter in letters) + gap * (len(word) - 1)
    x = _MARGIN + draws.below(max(1, room - wide + 1))
    level = _LEVEL + draws.between(-SUPER, SUPER)
    placed = []
    for letter in letters:
        placed.append(replace(letter, x=x, y=level + letter.y))
        x += letter.width + gap
    return tuple(placed)


def inked(letter: Letter) -> Bool[np.ndarray, "rows columns"]:
    """The cells of the board that a letter covers."""
    source = sheet(letter.letter)
    rows, columns = np.mgrid[: HEIGHT * SUPER, : WIDTH * SUPER]
    up = letter.y - rows
    across = columns - letter.x - up * letter.slant // 16
    row, column = _BASELINE - up * _EM // letter.size, across * _EM // letter.size
    inside = (row >= 0) & (row < len(source)) & (column >= 0) & (column < source.shape[1])
    ink = np.zeros(rows.shape, dtype=bool)
    ink[inside] = source[row[inside], column[inside]] >= letter.thin
    return ink


def draw_board(
    index: int, seed: int = 0, options: BoardOptions | None = None
) -> tuple[
    UInt8[np.ndarray, "height width 3"], Bool[np.ndarray, "letter height width"], BoardLayout
]:
    """Board `index` of `seed`.

    Returns:
        The RGB image; where each letter is visible, at least half a pixel; what was drawn.

    Raises:
        InputError: `index` or `seed` is negative or needs more than 32 bits.
    """
    options = options or BoardOptions()
    content = board_layout(index, seed, options)
    draws = Draws(seed, index, _PIXELS)
    cells = np.stack([inked(letter) for letter in content.letters])
    if content.hidden is not None:
        strokes = Draws(seed, index, _STROKES)
        cells &= ~_covered(cells[content.hidden], options.occlusion, strokes)
    cover = _pooled(cells)
    light = np.array([draws.between(176, 244) for _ in range(3)])
    dark = np.array([draws.between(16, 84) for _ in range(3)])
    paper, ink = (dark, light) if content.dark else (light, dark)
    share = np.minimum(cover.sum(0), SUPER**2)[..., None]
    image = (paper * (SUPER**2 - share) + ink * share) // SUPER**2
    image = image + _shade(draws)[..., None]
    noise = (draws.bytes(image.size) >> 3).reshape(image.shape).astype(np.int64) - 16
    return np.clip(image + noise, 0, 255).astype(np.uint8), _visible(cover), content


def letter_mask(letter: Letter) -> Bool[np.ndarray, "height width"]:
    """The pixels that a letter shows if nothing lies on it."""
    return _visible(_pooled(inked(letter)))


def _pooled(cells: Bool[np.ndarray, "*letter rows columns"]) -> np.ndarray:
    """How many cells of each pixel are covered."""
    return cells.reshape(*cells.shape[:-2], HEIGHT, SUPER, WIDTH, SUPER).sum((-3, -1))


def _visible(cover: np.ndarray) -> np.ndarray:
    """The pixels of which at least half is covered."""
    return cover * 2 >= SUPER**2


def _shade(draws: Draws) -> np.ndarray:
    """Light that falls from one side, in levels."""
    across, down = draws.between(-10, 10), draws.between(-6, 6)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return across * (2 * columns - WIDTH) // WIDTH + down * (2 * rows - HEIGHT) // HEIGHT


def _covered(
    ink: Bool[np.ndarray, "rows columns"], occlusion: Occlusion, draws: Draws
) -> Bool[np.ndarray, "rows columns"]:
    """The cells that lie under strokes across a letter, or under a cover."""
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    y, x = np.mgrid[: ink.shape[0], : ink.shape[1]]
    if occlusion == "full":
        edge = SUPER
        return (
            (y >= top - edge)
            & (y < bottom + edge)
            & (x >= left - edge // 2)
            & (x < right + edge // 2)
        )
    near = (x >= left - SUPER) & (x < right + SUPER)
    hidden = np.zeros(ink.shape, dtype=bool)
    for _ in range(1 if occlusion == "weak" else 2):
        # From one side of the letter to the other, at heights of their own.
        start, end = (top + draws.below(int(bottom - top)) for _ in range(2))
        width, thick = int(right - left), draws.between(2 * SUPER, 3 * SUPER)
        middle = start + (end - start) * (x - left) // max(width, 1)
        hidden |= near & (np.abs(y - middle) * 2 < thick)
    return hidden
