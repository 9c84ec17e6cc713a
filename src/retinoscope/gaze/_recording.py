"""One person's fixations while they said or read a text, and the JSON that holds them.

The JSON is that of VISTA's public release: `fixation_data`, a list of objects with start_time,
end_time, duration (seconds), x_coordinates, y_coordinates (raw samples), Avg_x_coordinates,
Avg_y_coordinates and fixation_id, and `transcription_data`, a list of objects with text, start and
end. Keys of ours, which may be missing: provenance ("human" without), observer, instrument.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import numpy as np
from jaxtyping import Float

from ..data import PROVENANCES, Gaze, Provenance
from ..errors import InputError
from ._density import overlap
from ._options import GazeOptions
from ._text import TextUnit, Transcript, transcript
from ._viewport import Viewport, inside

INSTRUMENTS = ("eyes", "pointer")
_FARTHEST = 1e9
"""Pixels or seconds; what lies beyond is damage."""

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
    instrument: Literal["eyes", "pointer"] = "eyes"
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


def read_recording(stored: object, where: str, observer: int | None = None) -> Recording:
    """A recording from the JSON's content.

    The averages of a fixation are taken, as its lists of raw samples are not always of one length;
    that is noted.

    Raises:
        InputError: a missing key, a value that is no number, an end before its start, a negative
            duration, words that go back in time, an unknown provenance.
    """
    if not isinstance(stored, dict):
        raise InputError(f"{where}: expected an object with fixation_data and transcription_data")
    fixations, words = (
        _objects(stored, name, where) for name in ("fixation_data", "transcription_data")
    )
    for what, found, most in (
        ("fixations", fixations, MOST_FIXATIONS),
        ("words", words, MOST_WORDS),
    ):
        if len(found) > most:
            raise InputError(f"{where}: expected at most {most:,} {what}, got {len(found):,}")
    points = np.zeros((len(fixations), 2))
    times = np.zeros((len(fixations), 2))
    unequal = 0
    for number, one in enumerate(fixations):
        at = f"{where}: fixation {number}"
        points[number] = [_number(one, f"Avg_{axis}_coordinates", at) for axis in ("x", "y")]
        times[number] = [_number(one, name, at) for name in ("start_time", "end_time")]
        if times[number, 1] < times[number, 0]:
            raise InputError(
                f"{at}: ends at {times[number, 1]:g} s, before it begins at "
                f"{times[number, 0]:g} s: mend its times"
            )
        if one.get("duration") is not None and _number(one, "duration", at) < 0:
            raise InputError(f"{at}: expected a duration from 0 up, got {one['duration']}")
        lists = [one.get(f"{axis}_coordinates") for axis in ("x", "y")]
        unequal += all(isinstance(xs, list) for xs in lists) and len({len(x) for x in lists}) > 1  # type: ignore[arg-type]
    units = [
        TextUnit(
            _text(one, f"{where}: word {number}"),
            *(_number(one, name, f"{where}: word {number}") for name in ("start", "end")),
        )
        for number, one in enumerate(words)
    ]
    provenance, instrument = stored.get("provenance", "human"), stored.get("instrument", "eyes")
    if provenance not in PROVENANCES or instrument not in INSTRUMENTS:
        raise InputError(
            f"{where}: expected provenance among {', '.join(PROVENANCES)} and instrument among "
            f"{', '.join(INSTRUMENTS)}, got {provenance!r} and {instrument!r}"
        )
    own = stored.get("observer")
    own = observer if own is None else own
    if own is not None and not (type(own) is int and abs(own) < 2**53):
        raise InputError(f"{where}: expected observer as a number without a meaning, got {own!r}")
    notes = (f"{unequal} fixations with x and y lists of two lengths",) if unequal else ()
    return Recording(
        points,
        times[:, 0],
        times[:, 1],
        transcript(units, where),
        cast("Provenance", provenance),
        own,
        instrument,
        notes,
    )


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


def _objects(stored: Mapping[str, Any], name: str, where: str) -> Sequence[Mapping[str, Any]]:
    found = stored.get(name)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise InputError(f"{where}: expected {name} as a list of objects, got {str(found)[:40]}")
    return found


def _number(one: Mapping[str, Any], name: str, where: str) -> float:
    value = one.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= _FARTHEST:
        raise InputError(f"{where}: expected {name} as a number, got {value!r}")
    return float(value)


def _text(one: Mapping[str, Any], where: str) -> str:
    if not isinstance(one.get("text"), str):
        raise InputError(f"{where}: expected text, got {one.get('text')!r}")
    return one["text"]
