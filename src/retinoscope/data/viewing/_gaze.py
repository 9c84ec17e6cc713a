"""`Gaze`: where somebody looked while one segment of a text was said or read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float

from ...errors import InputError
from ._density import kernel_density

Provenance = Literal["human", "simulated", "mask"]
"""Whose: of a person; of a program that knows the truth; or an object's true mask, where nobody
looked at all. Only the first is ever called human."""
PROVENANCES: tuple[str, ...] = get_args(Provenance)

Granularity = Literal["word", "phrase", "sentence", "text"]
GRANULARITIES: tuple[str, ...] = get_args(Granularity)


MOST = 1e200
"""Of a map's values, so that a sum of them is a number."""


MOST_LETTERS = 10_000
"""Of a text with segments."""


@dataclass(frozen=True)
class Segment:
    """A part of a text: `description[start:end]` is `text`.

    Attributes:
        start, end: characters, `end` exclusive.
        granularity: "word", "phrase", "sentence", or "text" for all of it.
        time: seconds from its first word's beginning to its last word's end, where that is known.
    """

    text: str
    description: str
    start: int
    end: int
    granularity: str
    time: tuple[float, float] | None = None

    def overlaps(self, other: Segment) -> bool:
        """Whether two segments of one text share a character."""
        same = self.description == other.description
        return same and self.start < other.end and other.start < self.end


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


@dataclass(frozen=True, eq=False)
class Gaze:
    """Where somebody looked while one segment of a text was said or read.

    Either fixations, from which `density` makes a map, or a map that came as one.

    Attributes:
        segment: None for looking freely, without a text.
        size: width and height of the image in pixels.
        provenance: "human", "simulated" or "mask".
        fixations: (n, 2) x and y in pixels of the image, all of them inside it.
        durations: (n,) seconds of each that fall on the segment; 1 each where times are not known.
        map: (H, W) not negative, or None.
        observer: a number that stands for the person and says nothing about them; None if unknown.
        instrument: "eyes", or "pointer" for a window that the mouse or a finger moves over a
            blurred image.
        dropped: fixations of this segment that lay outside the image and were left out.
        settings: how it was made: bandwidth in pixels, lead, lag, resizing.
    """

    segment: Segment | None
    size: tuple[int, int]
    provenance: Provenance
    fixations: Float[np.ndarray, "fixation xy"] = field(
        default_factory=lambda: np.zeros((0, 2)), repr=False
    )
    durations: Float[np.ndarray, " fixation"] = field(
        default_factory=lambda: np.zeros(0), repr=False
    )
    map: Float[np.ndarray, "height width"] | None = field(default=None, repr=False)
    observer: int | None = None
    instrument: Literal["eyes", "pointer", "none"] = "eyes"
    dropped: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.provenance not in PROVENANCES:
            raise InputError(
                f"expected provenance as {', '.join(PROVENANCES)}, got {self.provenance!r}"
            )
        points = np.asarray(self.fixations, float).reshape(-1, 2)
        weights = np.asarray(self.durations, float)
        if weights.shape != (len(points),):
            raise InputError(
                f"expected a duration for each fixation, got {weights.shape} for {len(points)}"
            )
        if not (np.isfinite(weights).all() and (weights >= 0).all()):
            raise InputError("expected durations from 0 up in seconds, got others")
        if not ((points >= 0) & (points < self.size)).all():
            raise InputError(
                f"expected fixations inside the image ({self.size[0]}x{self.size[1]}), got others: "
                "drop and count them first"
            )
        for name, array in (("fixations", points), ("durations", weights)):
            object.__setattr__(self, name, array)
        if self.map is not None:
            object.__setattr__(self, "map", _checked(self.map, self.size))

    @property
    def nothing(self) -> str | None:
        """Why there is no density; None where there is one."""
        if self.map is not None:
            return None if self.map.any() else "the map is all zero"
        if self.durations.sum() > 0:
            return None
        return "no fixation overlaps the segment" if self.segment else "no fixation in the image"

    def density(self) -> Float[np.ndarray, "height width"] | None:
        """The map, or Gaussians at the fixations weighted by their durations; adds up to 1.

        None where `nothing` says why. The bandwidth is `settings["bandwidth"]`, in pixels.
        """
        if self.nothing is not None:
            return None
        if self.map is not None:
            return self.map / self.map.sum()
        return kernel_density(
            self.fixations, self.durations, self.size, float(self.settings["bandwidth"])
        )


def pool(gazes: Sequence[Gaze]) -> Gaze:
    """Several observers of one segment as one: the mean of their densities, all their fixations.

    Each observer counts the same, however long they looked; one that has none counts nothing.

    Raises:
        InputError: none at all, or of several images, segments or provenances.
    """
    if not gazes:
        raise InputError("expected at least one observer, got none")
    first = gazes[0]
    for name in ("size", "provenance"):
        if len({getattr(one, name) for one in gazes}) > 1:
            raise InputError(f"expected observers of one {name}, got several")
    if len({_place(one.segment) for one in gazes}) > 1:
        raise InputError("expected observers of one segment, got several")
    if len(gazes) == 1:
        return first
    found = [density for one in gazes if (density := one.density()) is not None]
    return replace(
        first,
        fixations=np.concatenate([one.fixations for one in gazes]),
        durations=np.concatenate([one.durations for one in gazes]),
        map=np.mean(found, axis=0) if found else np.zeros(first.size[::-1]),
        observer=None,
        dropped=sum(one.dropped for one in gazes),
        settings={**first.settings, "observers": len(gazes)},
    )


def _place(segment: Segment | None) -> tuple[str, int, int] | None:
    return None if segment is None else (segment.description, segment.start, segment.end)


def _checked(values: object, size: tuple[int, int]) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise InputError(
            f"expected a map as (height, width) numbers, got {array.dtype} {array.shape}"
        )
    array = array.astype(np.float64)
    if array.shape[::-1] != tuple(size):
        raise InputError(
            f"expected a map of the image's size {size[0]}x{size[1]} (width x height), got "
            f"{array.shape[1]}x{array.shape[0]}: use the map of this image, or ask for a resizing"
        )
    if not np.isfinite(array).all():
        raise InputError("expected a map without NaN and infinity, got some: mend it")
    if array.min() < 0 or array.max() > MOST:
        got = f"{array.min():g} to {array.max():g}"
        raise InputError(f"expected a map from 0 up to {MOST:g}, got {got}: mend it")
    return array
