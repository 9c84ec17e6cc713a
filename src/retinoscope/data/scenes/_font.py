"""Capital letters of five by seven dots for the signs."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

_ROWS = {
    "A": "01110 10001 10001 11111 10001 10001 10001",
    "B": "11110 10001 10001 11110 10001 10001 11110",
    "C": "01110 10001 10000 10000 10000 10001 01110",
    "E": "11111 10000 10000 11110 10000 10000 11111",
    "F": "11111 10000 10000 11110 10000 10000 10000",
    "H": "10001 10001 10001 11111 10001 10001 10001",
    "I": "01110 00100 00100 00100 00100 00100 01110",
    "K": "10001 10010 10100 11000 10100 10010 10001",
    "N": "10001 11001 10101 10101 10011 10001 10001",
    "O": "01110 10001 10001 10001 10001 10001 01110",
    "P": "11110 10001 10001 11110 10000 10000 10000",
    "R": "11110 10001 10001 11110 10100 10010 10001",
    "S": "01111 10000 10000 01110 00001 00001 11110",
    "T": "11111 00100 00100 00100 00100 00100 00100",
    "X": "10001 10001 01010 00100 01010 10001 10001",
}


def render(word: str, scale: int) -> Bool[np.ndarray, "height width"]:
    """`word` in capitals, one column of dots between letters, each dot `scale` pixels wide."""
    letters = []
    for letter in word.upper():
        rows = [[dot == "1" for dot in row] for row in _ROWS[letter].split()]
        letters += [np.array(rows), np.zeros((7, 1), dtype=bool)]
    dots = np.concatenate(letters[:-1], axis=1)
    return dots.repeat(scale, axis=0).repeat(scale, axis=1)
