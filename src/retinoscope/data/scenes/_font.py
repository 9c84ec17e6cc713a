"""A pixel font for the words on signs, 5 x 7 cells per letter."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

SIGN_WORDS: tuple[str, ...] = ("stop", "open", "shop", "exit", "cafe", "taxi", "park", "bank")
"""The words that may appear on a sign."""

_GLYPHS = {
    "a": ".###. #...# #...# ##### #...# #...# #...#",
    "b": "####. #...# #...# ####. #...# #...# ####.",
    "c": ".###. #...# #.... #.... #.... #...# .###.",
    "e": "##### #.... #.... ####. #.... #.... #####",
    "f": "##### #.... #.... ####. #.... #.... #....",
    "h": "#...# #...# #...# ##### #...# #...# #...#",
    "i": "##### ..#.. ..#.. ..#.. ..#.. ..#.. #####",
    "k": "#...# #..#. #.#.. ##... #.#.. #..#. #...#",
    "n": "#...# ##..# ##..# #.#.# #..## #..## #...#",
    "o": ".###. #...# #...# #...# #...# #...# .###.",
    "p": "####. #...# #...# ####. #.... #.... #....",
    "r": "####. #...# #...# ####. #.#.. #..#. #...#",
    "s": ".#### #.... #.... .###. ....# ....# ####.",
    "t": "##### ..#.. ..#.. ..#.. ..#.. ..#.. ..#..",
    "x": "#...# #...# .#.#. ..#.. .#.#. #...# #...#",
}
SCALE = 2
BORDER = 4
BOARD_HEIGHT = 7 * SCALE + 2 * BORDER


def glyphs() -> dict[str, Bool[np.ndarray, "7 5"]]:
    """The letters as cells."""
    return {
        letter: np.array([[cell == "#" for cell in row] for row in rows.split()])
        for letter, rows in _GLYPHS.items()
    }


_CELLS = glyphs()


def board_width(word: str) -> int:
    """Width in pixels of the board that carries `word`."""
    return (6 * len(word) - 1) * SCALE + 2 * BORDER


def sign_letters(word: str) -> list[tuple[int, int]]:
    """Left and right edge of each letter, in pixels from the board's left edge."""
    lefts = (BORDER + number * 6 * SCALE for number in range(len(word)))
    return [(left, left + 5 * SCALE) for left in lefts]


def ink(word: str) -> Bool[np.ndarray, "height width"]:
    """The inked pixels of a board with `word`: the letters and a thin frame."""
    board = np.zeros((BOARD_HEIGHT, board_width(word)), dtype=bool)
    for letter, (left, right) in zip(word, sign_letters(word), strict=True):
        cells = _CELLS[letter].repeat(SCALE, 0).repeat(SCALE, 1)
        board[BORDER : BORDER + 7 * SCALE, left:right] = cells
    board[[0, -1]] = True
    board[:, [0, -1]] = True
    return board
