"""One person's fixations while they spoke or read a text, and the JSON that holds them.

The JSON is that of VISTA's public release: `fixation_data`, a list of objects with start_time,
end_time, duration (seconds), x_coordinates, y_coordinates (raw samples), Avg_x_coordinates,
Avg_y_coordinates and fixation_id, and `transcription_data`, a list of objects with text, start and
end. This package adds optional keys: provenance (by default "human"), observer, instrument.
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
"""Per recording; every fixation is compared with every word. An hour has 10,000 fixations."""


@dataclass(frozen=True, eq=False)
class Recording:
    """One person's fixations while they spoke or read a text.

    Attributes:
        points: (n, 2) x and y in pixels of the screen.
        starts, ends: (n,) seconds, on the clock of the text.
        notes: peculiarities of the recording, in words.
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
        """The number of fixations outside the image."""
        return int((~inside(viewport.to_image(self.points), size)).sum())

    def gazes(
        self, viewport: Viewport, size: tuple[int, int], options: GazeOptions
    ) -> tuple[Gaze, ...]:
        """A `Gaze` for every segment, of every requested granularity.

        A fixation counts by the seconds that it overlaps the segment, which is widened by lead and
        lag; fixations outside the image are left out and counted.
        """
        points = viewport.to_image(self.points)
        here = inside(points, size)
        settings = {
            "bandwidth": options.kernel(size),
            "lead": options.lead,
            "lag": options.lag,
            **self.settings,
        }
        gazes = []
        for granularity in options.granularities:
            for segment in self.text.segments(granularity):
                assert segment.time is not None
                span = segment.time[0] - options.lead, segment.time[1] + options.lag
                seconds = overlap(self.starts, self.ends, span)
                during = (seconds > 0) & here
                gazes.append(
                    Gaze(
                        segment=segment,
                        size=size,
                        provenance=self.provenance,
                        fixations=points[during],
                        durations=seconds[during],
                        observer=self.observer,
                        instrument=self.instrument,
                        dropped=int(((seconds > 0) & ~here).sum()),
                        settings=settings,
                    )
                )
        return tuple(gazes)


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
class _StoredWord(TypedDict):
    text: str
    start: Coordinate
    end: Coordinate


@with_config(STRICT)
class _Stored(TypedDict):
    fixation_data: Annotated[list[_Fixation], Field(max_length=MOST_FIXATIONS)]
    transcription_data: Annotated[list[_StoredWord], Field(max_length=MOST_WORDS)]
    provenance: NotRequired[Provenance]
    instrument: NotRequired[Instrument]
    observer: NotRequired[Annotated[int, Field(gt=-(2**53), lt=2**53)] | None]


_STORED = TypeAdapter(_Stored)


def read_recording(stored: object, where: str, observer: int | None = None) -> Recording:
    """Builds a recording from the JSON's content.

    Positions are each fixation's averages, since its lists of raw samples may differ in length;
    this is noted.

    Raises:
        InputError: a missing key, a value that is not a number, an end before its start, a negative
            duration, words that go back in time, an unknown provenance.
    """
    recording = entry(_STORED, stored, where)
    fixations = recording["fixation_data"]
    for number, fixation in enumerate(fixations):
        in_order(fixation["start_time"], fixation["end_time"], f"{where}: fixation {number}")
    columns = ("Avg_x_coordinates", "Avg_y_coordinates", "start_time", "end_time")
    table = np.array(
        [[fixation[name] for name in columns] for fixation in fixations], float
    ).reshape(-1, 4)
    unequal = sum(map(_unequal, fixations))
    stored_observer = recording.get("observer")
    return Recording(
        table[:, :2],
        table[:, 2],
        table[:, 3],
        transcript([TextUnit(**word) for word in recording["transcription_data"]], where),
        recording.get("provenance", "human"),
        observer if stored_observer is None else stored_observer,
        recording.get("instrument", "eyes"),
        (f"{unequal} fixations with x and y lists of two lengths",) if unequal else (),
    )


def _unequal(fixation: _Fixation) -> bool:
    """Whether a fixation's lists of raw samples differ in length."""
    xs, ys = fixation.get("x_coordinates"), fixation.get("y_coordinates")
    return isinstance(xs, list) and isinstance(ys, list) and len(xs) != len(ys)


def recording_json(recording: Recording) -> dict[str, Any]:
    """The JSON content of a recording, as `read_recording` reads it."""
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
