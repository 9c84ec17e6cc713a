"""A reader of single words, VisionLAN's: the model, and how it is stored."""

from ._crop import WINDOW, crop_boards
from ._model import (
    END,
    LetterTransformer,
    ParallelPrediction,
    ReaderShape,
    WordReader,
    WordReading,
    sinusoids,
)
from ._stored import READER, StoredReader, open_reader, round_as_stored, write_reader

__all__ = [
    "END",
    "READER",
    "WINDOW",
    "LetterTransformer",
    "ParallelPrediction",
    "ReaderShape",
    "StoredReader",
    "WordReader",
    "WordReading",
    "crop_boards",
    "open_reader",
    "round_as_stored",
    "sinusoids",
    "write_reader",
]
