"""Token ids of answers, and their probability in a row of logits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float

from ..errors import InputError
from ..models import pieces_after

_MARKERS = "▁Ġ \t\n"


@dataclass(frozen=True, eq=False)
class Answers:
    """Looks up first pieces of answers in one tokenizer.

    A word has up to four first pieces: with and without a leading space, as written and
    capitalised. Which of them a model uses depends on its tokenizer and on the answer's position:
    after a line break many tokenizers have another piece than at the beginning of a text. The
    paper's code uses only one, and for its integrated gradients that one is, by mistake, the
    beginning-of-text token.
    """

    tokenizer: object
    _pieces: dict[tuple[str, str], tuple[int, ...]] = field(default_factory=dict, repr=False)
    _texts: dict[int, str] = field(default_factory=dict, repr=False)

    def first_pieces(self, word: str, after: str = "") -> tuple[int, ...]:
        """Returns ids of the first non-blank pieces of `word` in its spellings, without repeats.

        Args:
            word: the answer.
            after: the text before it (`run.ending`); "" for the beginning of a text.

        Raises:
            InputError: the tokenizer knows none of them.
        """
        # Studies look up the same few words at every row.
        if (word, after) not in self._pieces:
            self._pieces[word, after] = self._looked_up(word, after)
        return self._pieces[word, after]

    def _looked_up(self, word: str, after: str) -> tuple[int, ...]:
        ids = [
            self._first(f"{space}{form}", after) for form in _spellings(word) for space in (" ", "")
        ]
        known = tuple(dict.fromkeys(index for index in ids if index is not None))
        if not known:
            raise InputError(
                f"the model's tokenizer has no token for the answer {word!r}: "
                "leave that question out, or use a model that knows the word"
            )
        return known

    def every_piece(self, word: str) -> tuple[int, ...]:
        """Returns ids of all pieces of `word`, in its spellings, that have at least two letters."""
        pieces: dict[int, None] = {}
        for form in _spellings(word):
            for space in (" ", ""):
                ids = self.tokenizer(f"{space}{form}", add_special_tokens=False)["input_ids"]  # type: ignore[operator]
                pieces |= dict.fromkeys(int(i) for i in ids if len(self.piece(i)) > 1)
        return tuple(pieces)

    def piece(self, token_id: int) -> str:
        """Returns the token's text without its leading-space marker."""
        if token_id not in self._texts:
            text = self.tokenizer.decode([int(token_id)])  # type: ignore[attr-defined]
            self._texts[token_id] = text.strip(_MARKERS)
        return self._texts[token_id]

    def paper_first(self, name: str) -> str:
        """Returns the piece that the released code of Neo et al. 2024 compares with: the first of
        the bare lower-case name, with its marker, even if it is unknown or a single space."""
        return self.tokenizer.tokenize(name.lower())[0]  # type: ignore[attr-defined]

    def paper_text(self, token_id: int) -> str:
        """Returns a predicted token as the released code decodes it; "" for a special token."""
        return self.tokenizer.decode(  # type: ignore[attr-defined]
            [token_id], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )

    def _first(self, text: str, after: str) -> int | None:
        unknown = getattr(self.tokenizer, "unk_token_id", None)
        for index in pieces_after(self.tokenizer, text, after):
            if index == unknown:
                return None
            # Some tokenizers write a leading space as a separate piece.
            if self.piece(index):
                return int(index)
        return None


def _spellings(word: str) -> Iterable[str]:
    return dict.fromkeys((word, word.lower(), word[:1].upper() + word[1:]))


def probability(logits: Float[torch.Tensor, " vocab"], ids: Iterable[int]) -> float:
    """Returns the softmax mass on `ids`."""
    probs = torch.softmax(logits.float(), dim=-1)
    return float(probs[list(ids)].sum())


def says_yes(logits: Float[torch.Tensor, " vocab"], yes: Iterable[int], no: Iterable[int]) -> bool:
    """Corrected polling rule: the largest logit of a "yes" exceeds the largest of a "no"."""
    return bool(logits[list(yes)].max() > logits[list(no)].max())
