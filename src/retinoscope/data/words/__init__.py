"""The word world: drawn boards with words on them, for models that read."""

from ._board import (
    ALPHABET,
    HEIGHT,
    LONGEST,
    OCCLUSIONS,
    SHORTEST,
    WIDTH,
    BoardLayout,
    BoardOptions,
    Letter,
    Occlusion,
    board_layout,
    draw_board,
    lexicon,
)
from ._words import Words, word, words

__all__ = [
    "ALPHABET",
    "HEIGHT",
    "LONGEST",
    "OCCLUSIONS",
    "SHORTEST",
    "WIDTH",
    "BoardLayout",
    "BoardOptions",
    "Letter",
    "Occlusion",
    "Words",
    "board_layout",
    "draw_board",
    "lexicon",
    "word",
    "words",
]
