"""Segments of a text by their words."""

from __future__ import annotations

import re

from ..data import Segment
from ..errors import InputError

MOST_LETTERS = 10_000
"""Of a text with segments."""


def segment_of(
    description: str, text: str, granularity: str | None = None, occurrence: int = 0
) -> Segment:
    """The segment `text` of a description.

    Where the text stands as whole words, only these places count: "car" in "a scarf and a car" is
    the last word. Parts of words count where it stands nowhere else.

    Args:
        granularity: by its form where None: "text" for all of it, "word" for a single one, else
            "phrase".
        occurrence: which one from 0, where the description has the text several times.

    Raises:
        InputError: a segment that is empty or is not in the description (so often), or one of more
            than `MOST_LETTERS`.
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
    """Where a text begins in a description: as whole words, or else anywhere."""
    if not text.strip():
        return []
    # Looking ahead, so that places may overlap.
    every = [found.start() for found in re.finditer(f"(?={re.escape(text)})", description)]
    whole = [
        start
        for start in every
        if not any(_inside_a_word(description, place) for place in (start, start + len(text)))
    ]
    return whole or every


def _inside_a_word(text: str, place: int) -> bool:
    """Whether the characters on both sides of a place are letters or digits."""
    around = text[max(place - 1, 0) : place + 1]
    return len(around) == 2 and around.isalnum()
