"""Segments of a text by their words."""

from __future__ import annotations

import re

from ..data import Segment
from ..errors import InputError

MOST_LETTERS = 10_000
"""The longest text that may have segments."""


def segment_of(
    description: str, text: str, granularity: str | None = None, occurrence: int = 0
) -> Segment:
    """Finds the segment `text` in a description.

    If the text occurs as whole words, only these occurrences count: "car" in "a scarf and a car" is
    the last word. Otherwise parts of words count too.

    Args:
        granularity: None chooses "text" for the whole description, "word" for a single word, else
            "phrase".
        occurrence: which one from 0, where the description has the text several times.

    Raises:
        InputError: a segment that is empty or does not occur (so often) in the description, or a
            description of more than `MOST_LETTERS`.
    """
    if len(description) > MOST_LETTERS:
        raise InputError(
            f"expected a text of at most {MOST_LETTERS:,} letters, got {len(description):,}"
        )
    places = _places(description, text)
    if not 0 <= occurrence < len(places):
        often = f" {occurrence + 1} times" if occurrence else ""
        raise InputError(
            f"expected a segment that is in the text {description!r}{often}, got {text!r}: "
            "copy it from the text, letter by letter"
        )
    start = places[occurrence]
    if granularity is None:
        if text.strip() == description.strip():
            granularity = "text"
        else:
            granularity = "phrase" if len(text.split()) > 1 else "word"
    return Segment(text, description, start, start + len(text), granularity)


def _places(description: str, text: str) -> list[int]:
    """Where a text starts in a description: as whole words, or else anywhere."""
    if not text.strip():
        return []
    # A lookahead, so that matches may overlap.
    every = [match.start() for match in re.finditer(f"(?={re.escape(text)})", description)]
    whole = [
        start
        for start in every
        if not any(_inside_a_word(description, place) for place in (start, start + len(text)))
    ]
    return whole or every


def _inside_a_word(text: str, place: int) -> bool:
    """Whether both characters next to a position are letters or digits."""
    around = text[max(place - 1, 0) : place + 1]
    return len(around) == 2 and around.isalnum()
