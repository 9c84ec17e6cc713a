"""Training of discrete visual tokens: LaVIT's tokenizer."""

from ._painter import PAINT, train_painter
from ._tokenizer import TokenizerRecipe, train_tokenizer

__all__ = ["PAINT", "TokenizerRecipe", "train_painter", "train_tokenizer"]
