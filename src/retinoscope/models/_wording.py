"""The place of the user's words in a conversation, from the template's structure."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import CapabilityError, InputError
from ._text import Vocabulary

_STAND_IN = "stand-in-for-the-words-of-the-user"


def written_around(write: Callable[[str], str], text: str) -> tuple[str, tuple[int, int]]:
    """Returns the conversation that `write` makes of `text`, and the range of `text` in it.

    Found by writing other words in its place, not by searching: a short text may also occur in the
    template.

    Raises:
        CapabilityError: a template that alters the text, or writes it twice.
    """
    written, other = write(text), write(_STAND_IN)
    before, _, behind = other.partition(_STAND_IN)
    start, stop = len(before), len(written) - len(behind)
    inside = written[start:stop] if written == before + written[start:stop] + behind else None
    # Many templates strip spaces at the ends.
    if inside is None or start > stop or inside.strip() != text.strip() or _STAND_IN in behind:
        raise CapabilityError(
            f"the model's chat template changes the text {text!r}, so its tokens cannot be "
            "told apart: pass the finished prompt with raw=True"
        )
    return written, (start, stop)


def refuse_control(vocabulary: Vocabulary, *texts: str | None) -> None:
    """Raises `InputError` for a text that contains a special token of the tokenizer."""
    for text in texts:
        token = vocabulary.control(text or "")
        if token is not None:
            raise InputError(
                f"expected a text without {token}, which this model's tokenizer reads as a special "
                "token: leave it out, or pass the whole prompt with raw=True"
            )
