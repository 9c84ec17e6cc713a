"""The requests that the page sends."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Seconds = float
MOST_POSITIONS, MOST_WORDS = 60_000, 2_000


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Begin(_Strict):
    """The participant accepts the consent text with this hash."""

    accepted: bool
    consentId: str = Field(max_length=64)


class WordOf(_Strict):
    """A word that was typed, or a phrase that was read."""

    text: str = Field(min_length=1, max_length=400)
    start: Seconds = Field(ge=0, le=86_400)
    end: Seconds = Field(ge=0, le=86_400)

    @model_validator(mode="after")
    def _ordered(self) -> WordOf:
        if self.end < self.start:
            raise ValueError("a word must not end before it begins")
        return self


class Record(_Strict):
    """The recording of one image; positions are pixels of the original image."""

    task: Literal["describe", "read"]
    positions: list[tuple[float, float | None, float | None]] = Field(
        min_length=1, max_length=MOST_POSITIONS
    )
    pauses: list[tuple[float, float]] = Field(max_length=1_000)
    words: list[WordOf] = Field(min_length=1, max_length=MOST_WORDS)
    end: Seconds = Field(ge=0, le=86_400)
    instruments: list[Literal["mouse", "touch", "pen", "keyboard"]] = Field(max_length=4)

    @model_validator(mode="after")
    def _consistent(self) -> Record:
        times = [position[0] for position in self.positions]
        if any(later < earlier for earlier, later in pairwise(times)):
            raise ValueError("positions must be in temporal order")
        if times[0] < 0 or times[-1] > self.end:
            raise ValueError("positions must lie between the start and the end")
        if any((x is None) != (y is None) for _, x, y in self.positions):
            raise ValueError("a position needs both x and y, or neither")
        before = 0.0
        for start, end in self.pauses:
            if not before <= start <= end <= self.end:
                raise ValueError("pauses must be in temporal order")
            before = end
            if any(start < time < end for time in times):
                raise ValueError("there must be no position during a pause")
        if any(word.end > self.end for word in self.words):
            raise ValueError("words must lie before the end")
        return self
