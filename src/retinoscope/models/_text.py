"""Token ids and their text, for any tokenizer."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from threading import get_ident
from typing import Any

from ..errors import InputError

_SPACE = "▁"
_LOGGER = "transformers.tokenization_utils_base"
_TOO_LONG = "Token indices sequence length"
_ENDING = 4
"""Number of tokens that determine how a text continues."""


class Vocabulary:
    """Looks up first pieces of words, and texts of token ids, in one tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._kept = lru_cache(maxsize=None)(lambda index, known: self._text(index))

    def texts(self, ids: Iterable[int]) -> list[str]:
        """One string per id, with leading spaces kept; each distinct id is looked up once."""
        known = self._known()
        return [self._kept(int(index), known) for index in ids]

    def text(self, index: int) -> str:
        """The string of one id."""
        return self._kept(int(index), self._known())

    def _known(self) -> int:
        """The number of tokens, which may grow at any time."""
        return len(self.tokenizer) if hasattr(self.tokenizer, "__len__") else 0

    def first_piece(self, word: str) -> int:
        """Id of the first piece of `word` that is not blank, without special tokens.

        A leading space matters to most tokenizers: " cat" is the word inside a sentence.

        Raises:
            InputError: the word is empty, or the tokenizer does not know its beginning.
        """
        ids = _plain(self.tokenizer, word)
        unknown = getattr(self.tokenizer, "unk_token_id", None)
        for index in ids:
            if index == unknown:
                break
            # Some tokenizers encode a leading space as a separate piece.
            if self.text(index).strip():
                return index
        raise InputError(
            f"expected a word that the model's tokenizer knows, got {word!r}: "
            "choose another word, or write it as the model does (a leading space, lower case)"
        )

    def pieces(self, word: str) -> tuple[int, ...]:
        """Ids of all pieces of `word`, starting with the first that is not blank.

        Raises:
            InputError: see `first_piece`; or a later piece that the tokenizer does not know.
        """
        first = self.first_piece(word)
        ids = _plain(self.tokenizer, word)
        pieces = tuple(ids[ids.index(first) :])
        if getattr(self.tokenizer, "unk_token_id", None) in pieces:
            raise InputError(
                f"expected a word that the model's tokenizer knows, got {word!r}: choose another"
            )
        return pieces

    def spellings(self, word: str, after: str) -> list[tuple[int, ...]]:
        """Ids of all pieces of `word` where it follows the text `after`; see `pieces_after`.

        Several if the tokenizer puts a space before every text, so that a word without one may be
        meant either way; the same as `pieces` if the word cannot follow there.

        Raises:
            InputError: see `pieces`.
        """
        plain, tokenizer = self.pieces(word), self.tokenizer
        spaced = f" {word}"
        either = not word[:1].isspace() and _plain(tokenizer, word) == _plain(tokenizer, spaced)
        spellings: dict[tuple[int, ...], None] = {}
        for form in (spaced, word) if either else (word,):
            ids = pieces_after(tokenizer, form, after)
            while ids and not self.text(ids[0]).strip():
                ids = ids[1:]
            if ids and getattr(tokenizer, "unk_token_id", None) not in ids:
                spellings[tuple(ids)] = None
        return list(spellings) or [plain]

    def ending(self, ids: Sequence[int]) -> str:
        """The text of the last few of `ids`, which a continuation follows."""
        return self.tokenizer.decode(list(ids[-_ENDING:]), clean_up_tokenization_spaces=False)

    def unknown(self, text: str) -> tuple[str, ...]:
        """The words of `text` with a piece that the tokenizer does not know, in order, once each.

        Tokenizers that fall back on bytes know a piece for everything.
        """
        unknown = getattr(self.tokenizer, "unk_token_id", None)
        if unknown is None:
            return ()
        # Remove the template's own tokens from a finished prompt.
        for token in getattr(self.tokenizer, "added_tokens_decoder", {}).values():
            text = text.replace(str(token), " ")
        if getattr(self.tokenizer, "is_fast", False):
            done = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
            pairs = zip(done["input_ids"], done["offset_mapping"], strict=True)
            words = [_around(text, *span) for index, span in pairs if index == unknown]
        else:
            words = [word for word in text.split() if unknown in _plain(self.tokenizer, word)]
        return tuple(dict.fromkeys(word for word in words if word))

    def control(self, text: str) -> str | None:
        """The first special token that the tokenizer would read in `text`, such as `</s>`."""
        added = getattr(self.tokenizer, "added_tokens_decoder", {})
        special = {str(token) for token in added.values() if token.special}
        special |= set(map(str, getattr(self.tokenizer, "all_special_tokens", ())))
        matches = [(text.find(token), token) for token in special if token and token in text]
        return min(matches)[1] if matches else None

    def _text(self, index: int) -> str:
        piece = self.tokenizer.convert_ids_to_tokens(index)
        if piece is None:
            return f"<{index}>"
        if isinstance(piece, bytes):
            return piece.decode("utf-8", "replace")
        if piece.startswith(_SPACE):
            return " " + piece[1:].replace(_SPACE, " ")
        return self.tokenizer.decode([index], clean_up_tokenization_spaces=False)


@contextmanager
def length_warning_held() -> Iterator[None]:
    """Delays the library's warning about texts beyond the context, and drops it on an error.

    Texts that are too long are refused with a more specific message.
    """
    held: list[logging.LogRecord] = []
    here, logger = get_ident(), logging.getLogger(_LOGGER)

    def passes(record: logging.LogRecord) -> bool:
        if record.thread != here or not str(record.msg).startswith(_TOO_LONG):
            return True
        held.append(record)
        return False

    logger.addFilter(passes)
    try:
        yield
    finally:
        logger.removeFilter(passes)
    for record in held:
        logger.handle(record)


def pieces_after(tokenizer: Any, text: str, after: str) -> list[int]:
    """Ids of `text` as a model prompted with `after` would write them.

    Tokenizers that put a space before every text encode its beginning differently after a line
    break or a colon. Empty if no model could write it there, because its letters would merge with
    those of `after`.
    """
    before = _plain(tokenizer, after) if after else []
    whole = _plain(tokenizer, after + text)
    if whole[: len(before)] == before:
        return whole[len(before) :]
    if after[-1:] in (" ", "\t") and not text[:1].isspace():
        # That space is a token of the prompt and no longer part of the word's piece.
        return pieces_after(tokenizer, text, f"{after[:-1]}\n")
    return []


def _around(text: str, start: int, stop: int) -> str:
    """The whole word that a piece belongs to."""
    start += len(text[start:stop]) - len(text[start:stop].lstrip())
    while start > 0 and text[start - 1].isalnum():
        start -= 1
    while stop < len(text) and text[stop].isalnum():
        stop += 1
    return text[start:stop].strip()


def _plain(tokenizer: Any, text: str) -> list[int]:
    return [int(index) for index in tokenizer(text, add_special_tokens=False)["input_ids"]]
