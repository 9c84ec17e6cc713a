"""A text with the times of its words, split into words, phrases and sentences."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..data import Segment
from ..errors import InputError

_BETWEEN = """
and or but with without while which that who whose where when as if than because so then
in on at of to from into onto over under above below behind beside besides between among near
by next through across along around against inside outside up down off out for about during
is are was were be been being am has have had do does did can could will would may might
there here this these those it its it's there's that's he she they we i you his her their our
my your see sees seem seems look looks looking appear appears also just very
"""
_BREAKS = frozenset(_BETWEEN.split())
"""Words between phrases: prepositions, conjunctions, pronouns, auxiliaries."""
_ARTICLES = frozenset(("a", "an", "the", "some", "no", "not", "uh", "um", "uhm", "er"))
FUNCTION_WORDS = _BREAKS | _ARTICLES
"""Words that name nothing visible."""


@dataclass(frozen=True)
class TextUnit:
    """A timed piece of a text, usually one word; times in seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Transcript:
    """A text with the time at which each piece was said or read. Made by `transcript`.

    Attributes:
        text: the whole text.
        units, spans: its pieces, and the range of characters of each in `text`.
    """

    text: str
    units: tuple[TextUnit, ...]
    spans: tuple[tuple[int, int], ...]

    def segments(self, granularity: str) -> tuple[Segment, ...]:
        """All segments of one granularity, in order.

        "word": pieces of a single word, except `FUNCTION_WORDS`. "phrase": what stands between
        punctuation and words such as "and", "on" or "is", unless it is only articles; a piece of
        several words is a phrase of its own. "sentence": up to a full stop, question mark or
        exclamation mark; a text without any is one sentence. "text": the whole text.

        Raises:
            InputError: an unknown granularity.
        """
        if granularity == "text":
            spans = [(0, len(self.units))]
        elif granularity == "sentence":
            spans = self._until(lambda text: text[-1] in ".!?")
        elif granularity == "word":
            spans = [
                (k, k + 1)
                for k, unit in enumerate(self.units)
                if len(unit.text.split()) == 1 and names_something(unit.text)
            ]
        elif granularity == "phrase":
            spans = self._phrases()
        else:
            raise InputError(
                f"expected a granularity of word, phrase, sentence or text, got {granularity!r}"
            )
        return tuple(self._segment(first, last, granularity) for first, last in spans)

    def _segment(self, first: int, last: int, granularity: str) -> Segment:
        start, end = self.spans[first][0], self.spans[last - 1][1]
        if granularity in ("word", "phrase"):
            whole = self.text[start:end]
            start += len(whole) - len(whole.lstrip(_MARKS))
            end -= len(whole) - len(whole.rstrip(_MARKS))
        pieces = self.units[first:last]
        time = min(unit.start for unit in pieces), max(unit.end for unit in pieces)
        return Segment(self.text[start:end], self.text, start, end, granularity, time)

    def _until(self, ends) -> list[tuple[int, int]]:
        cuts = [k + 1 for k, unit in enumerate(self.units) if ends(unit.text)]
        edges = sorted({0, *cuts, len(self.units)})
        return list(pairwise(edges))

    def _phrases(self) -> list[tuple[int, int]]:
        spans: list[tuple[int, int]] = []
        first: int | None = None
        for k, unit in enumerate(self.units):
            several = len(unit.text.split()) > 1
            if several or bare(unit.text) in _BREAKS:
                if first is not None:
                    spans.append((first, k))
                first = None
                if several:
                    spans.append((k, k + 1))
                continue
            first = k if first is None else first
            if unit.text[-1] in ",.;:!?":
                spans.append((first, k + 1))
                first = None
        if first is not None:
            spans.append((first, len(self.units)))
        return [(a, b) for a, b in spans if any(map(names_something, self._words(a, b)))]

    def _words(self, first: int, last: int) -> list[str]:
        return [word for unit in self.units[first:last] for word in unit.text.split()]


_CLOSING = ".,;:!?)'\u2019"
"""Characters that follow a word without a space."""
_MARKS = ' \t\n.,;:!?"()[]'


def bare(word: str) -> str:
    """A word in lower case, without surrounding punctuation."""
    return word.strip(_MARKS).lower()


def between(word: str) -> bool:
    """Whether a word stands between phrases: a preposition, a conjunction and the like."""
    return bare(word) in _BREAKS


def names_something(word: str) -> bool:
    """Whether a word is not one of `FUNCTION_WORDS` and has a letter or digit."""
    plain = bare(word)
    return plain not in FUNCTION_WORDS and re.search(r"\w", plain) is not None


def in_order(start: float, end: float, what: str) -> None:
    """Raises InputError if the end lies before the start."""
    if end < start:
        raise InputError(
            f"{what} ends at {end:g} s, before it begins at {start:g} s: correct its times"
        )


def transcript(units: Sequence[TextUnit], where: str, *, ordered: bool = True) -> Transcript:
    """Joins timed pieces into a text; empty pieces are left out.

    Args:
        where: its name in error messages.
        ordered: whether words must begin one after the other, as in speech.

    Raises:
        InputError: no words, a time that is not a number, an end before its start, or a piece that
            begins before the previous one.
    """
    kept = [
        TextUnit(unit.text.strip(), unit.start, unit.end) for unit in units if unit.text.strip()
    ]
    if not kept:
        raise InputError(f"{where}: expected a text of at least one word, got none")
    before = -math.inf
    for number, unit in enumerate(kept):
        if not (math.isfinite(unit.start) and math.isfinite(unit.end)):
            raise InputError(
                f"{where}: expected seconds for word {number} ({unit.text!r}), got none"
            )
        in_order(unit.start, unit.end, f"{where}: word {number} ({unit.text!r})")
        if ordered and unit.start < before:
            raise InputError(
                f"{where}: word {number} ({unit.text!r}) begins at {unit.start:g} s, before the "
                f"previous word at {before:g} s: put the words in order"
            )
        before = unit.start
    text, spans = "", []
    for unit in kept:
        if text and unit.text[0] not in _CLOSING:
            text += " "
        spans.append((len(text), len(text) + len(unit.text)))
        text += unit.text
    return Transcript(text, tuple(kept), tuple(spans))
