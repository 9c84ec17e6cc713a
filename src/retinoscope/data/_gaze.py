"""`Gaze`: where somebody looked while a segment of a text was spoken or read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float

from ..errors import InputError
from .maps import checked_map, kernel_density

Provenance = Literal["human", "simulated", "mask"]
"""Whether it comes from a person, from a program that knows the ground truth, or from an object's
true mask, without anybody looking. Only the first is ever called human."""
PROVENANCES: tuple[str, ...] = get_args(Provenance)

Granularity = Literal["word", "phrase", "sentence", "text"]
GRANULARITIES: tuple[str, ...] = get_args(Granularity)


@dataclass(frozen=True)
class Segment:
    """A part of a text: `description[start:end]` is `text`.

    Attributes:
        start, end: characters, `end` exclusive.
        granularity: "word", "phrase", "sentence", or "text" for all of it.
        time: seconds from the start of its first word to the end of its last, if known.
    """

    text: str
    description: str
    start: int
    end: int
    granularity: str
    time: tuple[float, float] | None = None

    def overlaps(self, other: Segment) -> bool:
        """Whether two segments of the same text share a character."""
        same = self.description == other.description
        return same and self.start < other.end and other.start < self.end


@dataclass(frozen=True, eq=False)
class Gaze:
    """Where somebody looked while a segment of a text was spoken or read.

    Holds either fixations, from which `density` computes a map, or a map from the data.

    Attributes:
        segment: None for free viewing, without a text.
        size: width and height of the image in pixels.
        provenance: "human", "simulated" or "mask".
        fixations: (n, 2) x and y in pixels of the image, all of them inside it.
        durations: (n,) seconds of each that fall on the segment; all 1 where times are unknown.
        map: (H, W) without negative values, or None.
        observer: an arbitrary number that stands for the person; None if unknown.
        instrument: "eyes", or "pointer" for a window that the mouse or a finger moves over a
            blurred image.
        dropped: number of fixations of this segment outside the image, which were left out.
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
            raise InputError("expected durations from 0 up in seconds, got negative ones or NaN")
        if not ((points >= 0) & (points < self.size)).all():
            raise InputError(
                f"expected fixations inside the image ({self.size[0]}x{self.size[1]}), got some "
                "outside: "
                "drop and count them first"
            )
        for name, array in (("fixations", points), ("durations", weights)):
            object.__setattr__(self, name, array)
        if self.map is not None:
            object.__setattr__(self, "map", checked_map(self.map, self.size))

    @property
    def nothing(self) -> str | None:
        """Why there is no density; None if there is one."""
        if self.map is not None:
            return None if self.map.any() else "the map is all zero"
        if self.durations.sum() > 0:
            return None
        return "no fixation overlaps the segment" if self.segment else "no fixation in the image"

    def density(self) -> Float[np.ndarray, "height width"] | None:
        """The map, or Gaussians at the fixations weighted by their durations; adds up to 1.

        None for the reason given by `nothing`. The bandwidth is `settings["bandwidth"]`, in pixels.
        """
        if self.nothing is not None:
            return None
        if self.map is not None:
            return self.map / self.map.sum()
        return kernel_density(
            self.fixations, self.durations, self.size, float(self.settings["bandwidth"])
        )
