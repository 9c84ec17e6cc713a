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
    letter_mask,
    lexicon,
)
from ._words import WordBoards, word, words

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
    "WordBoards",
    "board_layout",
    "draw_board",
    "letter_mask",
    "lexicon",
    "word",
    "words",
]
