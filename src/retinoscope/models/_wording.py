"""Where the user's words stand in a conversation, by the template's structure."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import CapabilityError, InputError
from ._text import Vocabulary

_STAND_IN = "stand-in-for-the-words-of-the-user"


def written_around(write: Callable[[str], str], text: str) -> tuple[str, tuple[int, int]]:
    """The conversation that `write` makes of `text`, and where `text` stands in it.

    Found with other words in their place, never by looking for them: a short text can stand in the
    template as well.

    Raises:
        CapabilityError: a template that writes the text in another way, or twice.
    """
    written, other = write(text), write(_STAND_IN)
    before, _, behind = other.partition(_STAND_IN)
    start, stop = len(before), len(written) - len(behind)
    inside = written[start:stop] if written == before + written[start:stop] + behind else None
    # Many templates cut spaces off at the ends.
    if inside is None or start > stop or inside.strip() != text.strip() or _STAND_IN in behind:
        raise CapabilityError(
            f"the model's chat template changes the text {text!r}, so its tokens cannot be "
            "told apart: pass the finished prompt with raw=True"
        )
    return written, (start, stop)


def refuse_control(vocabulary: Vocabulary, *texts: str | None) -> None:
    """Raises `InputError` for a text in which the tokenizer would read a special token."""
    for text in texts:
        found = vocabulary.control(text or "")
        if found is not None:
            raise InputError(
                f"expected a text without {found}, which this model's tokenizer reads as a special "
                "token: leave it out, or pass the whole prompt with raw=True"
            )
