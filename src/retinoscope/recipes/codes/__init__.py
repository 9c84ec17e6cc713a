"""Training of discrete visual tokens: LaVIT's tokenizer."""

from ._tokenizer import TokenizerRecipe, train_tokenizer

__all__ = ["TokenizerRecipe", "train_tokenizer"]
