"""Token ids and their text, for any tokenizer."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from ..errors import InputError

_SPACE = "▁"


class Vocabulary:
    """Looks up first pieces of words, and texts of token ids, in one tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.text = lru_cache(maxsize=None)(self._text)

    def texts(self, ids: Iterable[int]) -> list[str]:
        """One string per id, a leading space kept, looked up once per distinct id."""
        return [self.text(int(index)) for index in ids]

    def first_piece(self, word: str) -> int:
        """Id of the first piece of `word` that is not blank, without any special token.

        A leading space matters to most tokenizers: " cat" is the word inside a sentence.

        Raises:
            InputError: the word is empty or the tokenizer does not know its beginning.
        """
        ids = self.tokenizer(word, add_special_tokens=False)["input_ids"]
        unknown = getattr(self.tokenizer, "unk_token_id", None)
        for index in ids:
            if index == unknown:
                break
            # Some tokenizers write a leading space as a piece of its own.
            if self.text(index).strip():
                return int(index)
        raise InputError(
            f"expected a word that the model's tokenizer knows, got {word!r}: "
            "choose another word, or write it as the model does (a leading space, small letters)"
        )

    def pieces(self, word: str) -> tuple[int, ...]:
        """Ids of all pieces of `word`, from the first one on that is not blank.

        Raises:
            InputError: as `first_piece`, or a later piece that the tokenizer does not know.
        """
        first = self.first_piece(word)
        ids = [int(index) for index in self.tokenizer(word, add_special_tokens=False)["input_ids"]]
        pieces = tuple(ids[ids.index(first) :])
        if getattr(self.tokenizer, "unk_token_id", None) in pieces:
            raise InputError(
                f"expected a word that the model's tokenizer knows, got {word!r}: choose another"
            )
        return pieces

    def _text(self, index: int) -> str:
        piece = self.tokenizer.convert_ids_to_tokens(index)
        if piece is None:
            return f"<{index}>"
        if isinstance(piece, bytes):
            return piece.decode("utf-8", "replace")
        if piece.startswith(_SPACE):
            return " " + piece[1:].replace(_SPACE, " ")
        return self.tokenizer.decode([index], clean_up_tokenization_spaces=False)
