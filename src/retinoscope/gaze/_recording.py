"""One person's fixations while they said or read a text, and the JSON that holds them.

The JSON is that of VISTA's public release: `fixation_data`, a list of objects with start_time,
end_time, duration (seconds), x_coordinates, y_coordinates (raw samples), Avg_x_coordinates,
Avg_y_coordinates and fixation_id, and `transcription_data`, a list of objects with text, start and
end. Keys of ours, which may be missing: provenance ("human" without), observer, instrument.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NotRequired

import numpy as np
from jaxtyping import Float
from pydantic import Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from ..data import Gaze, Provenance
from ..data.schema import STRICT, Coordinate, Length, entry
from ._density import overlap
from ._options import GazeOptions
from ._text import TextUnit, Transcript, in_order, transcript
from ._viewport import Viewport, inside

Instrument = Literal["eyes", "pointer"]

MOST_FIXATIONS, MOST_WORDS = 100_000, 10_000
"""Of a recording: each of the ones is held against each of the others. An hour has 10,000."""


@dataclass(frozen=True, eq=False)
class Recording:
    """One person's fixations while they said or read a text.

    Attributes:
        points: (n, 2) x and y in pixels of the screen.
        starts, ends: (n,) seconds, on the clock of the text.
        notes: what is odd about it, in words.
    """

    points: Float[np.ndarray, "fixation xy"]
    starts: Float[np.ndarray, " fixation"]
    ends: Float[np.ndarray, " fixation"]
    text: Transcript
    provenance: Provenance = "human"
    observer: int | None = None
    instrument: Instrument = "eyes"
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def dropped(self, viewport: Viewport, size: tuple[int, int]) -> int:
        """Fixations outside the image."""
        return int((~inside(viewport.to_image(self.points), size)).sum())

    def gazes(
        self, viewport: Viewport, size: tuple[int, int], options: GazeOptions
    ) -> tuple[Gaze, ...]:
        """A `Gaze` for every segment, of every granularity asked for.

        A fixation counts with the seconds of it that fall on the segment, widened by lead and lag;
        one outside the image is left out and counted.
        """
        points = viewport.to_image(self.points)
        here = inside(points, size)
        settings = {
            "bandwidth": options.kernel(size),
            "lead": options.lead,
            "lag": options.lag,
            **self.settings,
        }
        found = []
        for granularity in options.granularities:
            for segment in self.text.segments(granularity):
                assert segment.time is not None
                span = segment.time[0] - options.lead, segment.time[1] + options.lag
                seconds = overlap(self.starts, self.ends, span)
                held = (seconds > 0) & here
                found.append(
                    Gaze(
                        segment=segment,
                        size=size,
                        provenance=self.provenance,
                        fixations=points[held],
                        durations=seconds[held],
                        observer=self.observer,
                        instrument=self.instrument,
                        dropped=int(((seconds > 0) & ~here).sum()),
                        settings=settings,
                    )
                )
        return tuple(found)


@with_config(STRICT)
class _Fixation(TypedDict):
    start_time: Coordinate
    end_time: Coordinate
    Avg_x_coordinates: Coordinate
    Avg_y_coordinates: Coordinate
    duration: NotRequired[Length | None]
    x_coordinates: NotRequired[Any]
    y_coordinates: NotRequired[Any]


@with_config(STRICT)
class _Word(TypedDict):
    text: str
    start: Coordinate
    end: Coordinate


@with_config(STRICT)
class _Stored(TypedDict):
    fixation_data: Annotated[list[_Fixation], Field(max_length=MOST_FIXATIONS)]
    transcription_data: Annotated[list[_Word], Field(max_length=MOST_WORDS)]
    provenance: NotRequired[Provenance]
    instrument: NotRequired[Instrument]
    observer: NotRequired[Annotated[int, Field(gt=-(2**53), lt=2**53)] | None]


_STORED = TypeAdapter(_Stored)


def read_recording(stored: object, where: str, observer: int | None = None) -> Recording:
    """A recording from the JSON's content.

    The averages of a fixation are taken, as its lists of raw samples are not always of one length;
    that is noted.

    Raises:
        InputError: a missing key, a value that is no number, an end before its start, a negative
            duration, words that go back in time, an unknown provenance.
    """
    told = entry(_STORED, stored, where)
    fixations = told["fixation_data"]
    for number, one in enumerate(fixations):
        in_order(one["start_time"], one["end_time"], f"{where}: fixation {number}")
    columns = ("Avg_x_coordinates", "Avg_y_coordinates", "start_time", "end_time")
    table = np.array([[one[name] for name in columns] for one in fixations], float).reshape(-1, 4)
    unequal = sum(map(_unequal, fixations))
    own = told.get("observer")
    return Recording(
        table[:, :2],
        table[:, 2],
        table[:, 3],
        transcript([TextUnit(**word) for word in told["transcription_data"]], where),
        told.get("provenance", "human"),
        observer if own is None else own,
        told.get("instrument", "eyes"),
        (f"{unequal} fixations with x and y lists of two lengths",) if unequal else (),
    )


def _unequal(one: _Fixation) -> bool:
    """Whether the lists of a fixation's raw samples are of two lengths."""
    xs, ys = one.get("x_coordinates"), one.get("y_coordinates")
    return isinstance(xs, list) and isinstance(ys, list) and len(xs) != len(ys)


def recording_json(recording: Recording) -> dict[str, Any]:
    """The JSON's content of a recording; `read_recording` gives the same back."""
    rows = zip(
        recording.points.tolist(), recording.starts.tolist(), recording.ends.tolist(), strict=True
    )
    return {
        "fixation_data": [
            {
                "start_time": start,
                "end_time": end,
                "duration": end - start,
                "x_coordinates": [x],
                "y_coordinates": [y],
                "Avg_x_coordinates": x,
                "Avg_y_coordinates": y,
                "fixation_id": number,
            }
            for number, ((x, y), start, end) in enumerate(rows)
        ],
        "transcription_data": [
            {"text": unit.text, "start": unit.start, "end": unit.end}
            for unit in recording.text.units
        ],
        "provenance": recording.provenance,
        "instrument": recording.instrument,
        "observer": recording.observer,
    }
