"""Training of the word reader: VisionLAN's masked reading, and what it is compared with."""

from ._boards import HELD_OUT_SEED, TRAIN_SEED, Boards, draw_boards
from ._claims import COVERS, OF_MASKS, OF_READING, READING_CLAIMS
from ._judge import CONDITIONS, judge_reader
from ._mask import (
    LetterMask,
    MaskedReading,
    attention_mask,
    only_letter,
    own_attention,
    strips,
    without_letter,
    word_loss,
)
from ._speller import Speller
from ._train import READING_ARMS, ReaderRecipe, train_readers

__all__ = [
    "CONDITIONS",
    "COVERS",
    "HELD_OUT_SEED",
    "OF_MASKS",
    "OF_READING",
    "READING_ARMS",
    "READING_CLAIMS",
    "TRAIN_SEED",
    "Boards",
    "LetterMask",
    "MaskedReading",
    "ReaderRecipe",
    "Speller",
    "attention_mask",
    "draw_boards",
    "judge_reader",
    "only_letter",
    "own_attention",
    "strips",
    "train_readers",
    "without_letter",
    "word_loss",
]
