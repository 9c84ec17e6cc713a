"""Recordings of `retinoscope collect`: a sharp window that people moved over a blurred image.

    collection.json                 how images were shown, and the consent text
    images/NAME.png
    sessions/NUMBER/session.json    which text was accepted; the random number is all that
    sessions/NUMBER/NAME.parquet    identifies a person; one file per image, one row per position

Columns: `time` in seconds since the image appeared, `x` and `y` in pixels of the image (null while
the window was off the image), `word`, the index of the word being written or read (null between
words). A position holds until the next one. The rest is JSON in the file's metadata, under the key
"retinoscope".
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field, FiniteFloat, TypeAdapter, with_config
from typing_extensions import TypedDict

from ..data import Gaze, Sample
from ..data.images import open_image
from ..data.lazy import LazySamples, content_hash, existing_folder
from ..data.schema import STRICT, FileName, Side, entry, read_json
from ..errors import InputError
from ..naming import slugify
from ._options import GazeOptions, read_options
from ._pictures import chosen, images_below
from ._recording import MOST_WORDS, Recording
from ._text import TextUnit, between, names_something, transcript
from ._viewport import Viewport
from ._vista import texts_of

COLLECTION = "collection.json"
KEY = b"retinoscope"
MOST_POSITIONS = 1_000_000
"""Per image: more than four hours at 60 a second. A few bytes can claim billions."""
HELD = 0.1
"""Seconds for which the window must stay for a position to count as fixated."""

Positions = Sequence[tuple[float, float | None, float | None]]


@dataclass(frozen=True)
class CollectedTrial:
    """The recording of one image in one session.

    Attributes:
        session: the number that stands for the person.
        image: the image's name.
        size: its width and height.
        radius, blur: of the sharp window and of its surroundings, in pixels of the image.
        task: "describe" or "read".
        positions: (time, x, y), with x and y None while the window was off the image.
        pauses: (start, end) in seconds, when nothing was recorded.
        words: text, start and end of each.
        end: seconds at which the image was finished.
        instruments: "mouse", "touch", "pen", "keyboard".
    """

    session: int
    image: str
    size: tuple[int, int]
    radius: float
    blur: float
    task: str
    positions: Positions
    pauses: Sequence[tuple[float, float]]
    words: Sequence[Mapping[str, Any]]
    end: float
    instruments: Sequence[str]

    def recording(self, where: str) -> Recording:
        """Converts to fixations and a timed text; raises InputError for impossible times."""
        points, starts, ends = dwells(self.positions, self.pauses, self.end, self.radius)
        units = [TextUnit(str(w["text"]), float(w["start"]), float(w["end"])) for w in self.words]
        return Recording(
            points=points,
            starts=starts,
            ends=ends,
            # Writers go back to correct words, so their times need not follow the text's order.
            text=transcript(units, where, ordered=False),
            provenance="human",
            observer=self.session,
            instrument="pointer",
            settings={"dispersion": self.radius, "held": HELD, "task": self.task},
        )


def session_folder(root: Path, session: int) -> Path:
    """The folder of a session's files."""
    return root / "sessions" / str(session)


def collected_name(image: str) -> str:
    """A file name for an image, unique for each id."""
    plain = slugify(Path(image).name, keep="_-", strip="")[:80]
    return f"{plain}-{hashlib.sha256(image.encode()).hexdigest()[:8]}"


def reading_pieces(text: str) -> tuple[str, ...]:
    """Splits a text into phrases to be read one after the other, with their function words.

    Joined by blanks they give the text again, except for its own white space.
    """
    pieces: list[list[str]] = []
    for word in text.split():
        last = pieces[-1] if pieces else None
        complete = last is not None and (
            last[-1][-1] in ",.;:!?" or (between(word) and any(map(names_something, last)))
        )
        if last is None or complete:
            pieces.append([word])
        else:
            last.append(word)
    return tuple(" ".join(piece) for piece in pieces)


def trial_bytes(trial: CollectedTrial) -> bytes:
    """Serialises a trial as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    times = [time for time, _, _ in trial.positions]
    table = pa.table(
        {
            "time": pa.array(times, pa.float64()),
            "x": pa.array([x for _, x, _ in trial.positions], pa.float64()),
            "y": pa.array([y for _, _, y in trial.positions], pa.float64()),
            "word": pa.array([_word_at(time, trial.words) for time in times], pa.int32()),
        }
    )
    facts = {
        "version": 1,
        "provenance": "human",
        "instrument": "pointer",
        "session": trial.session,
        "image": trial.image,
        "size": list(trial.size),
        "radius": trial.radius,
        "blur": trial.blur,
        "task": trial.task,
        "pauses": [list(pause) for pause in trial.pauses],
        "words": [dict(word) for word in trial.words],
        "end": trial.end,
        "instruments": list(trial.instruments),
    }
    metadata = json.dumps(facts, ensure_ascii=False).encode()
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({KEY: metadata}), buffer)
    return buffer.getvalue()


def _word_at(time: float, words: Sequence[Mapping[str, Any]]) -> int | None:
    return next((k for k, w in enumerate(words) if w["start"] <= time <= w["end"]), None)


_Seconds = Annotated[FiniteFloat, Field(ge=0, le=1e7)]


@with_config(STRICT)
class _TrialWord(TypedDict):
    text: str
    start: _Seconds
    end: _Seconds


@with_config(STRICT)
class _TrialFacts(TypedDict):
    """The JSON in a trial's metadata."""

    session: Annotated[int, Field(ge=0, lt=2**63)]
    image: FileName
    size: Annotated[tuple[Side, Side], Field(strict=False)]
    radius: Annotated[FiniteFloat, Field(gt=0, le=1e6)]
    blur: Annotated[FiniteFloat, Field(ge=0, le=1e6)]
    task: Literal["describe", "read"]
    pauses: list[Annotated[tuple[_Seconds, _Seconds], Field(strict=False)]]
    words: Annotated[list[_TrialWord], Field(max_length=MOST_WORDS)]
    end: _Seconds
    instruments: list[str]


_FACTS = TypeAdapter(_TrialFacts)


def _positions(table: Any) -> Positions:
    """Raises ValueError for positions that are not numbers, or times that are missing."""
    import pyarrow as pa

    columns = []
    for name in ("time", "x", "y"):
        column = table[name]
        if not pa.types.is_floating(column.type):
            raise ValueError(f"{name} as {column.type}, not numbers")
        values = column.to_pylist()
        if any(
            (value is None and name == "time")
            or value in (math.inf, -math.inf)
            or (value is not None and value != value)
            for value in values
        ):
            raise ValueError(f"{name} that is not finite")
        columns.append(values)
    return list(zip(*columns, strict=True))


def read_trial(file: Path) -> CollectedTrial:
    """Reads a trial from its file.

    Raises:
        InputError: a damaged file, or one of another kind.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        count = pq.read_metadata(file).num_rows
        if count > MOST_POSITIONS:
            raise InputError(
                f"{file}: expected at most {MOST_POSITIONS:,} positions, got {count:,}"
            )
        table = pq.read_table(file, columns=["time", "x", "y"])
        facts = entry(_FACTS, json.loads((table.schema.metadata or {})[KEY]), str(file))
        return CollectedTrial(
            session=facts["session"],
            image=facts["image"],
            size=facts["size"],
            radius=facts["radius"],
            blur=facts["blur"],
            task=facts["task"],
            positions=_positions(table),
            pauses=facts["pauses"],
            words=[dict(word) for word in facts["words"]],
            end=facts["end"],
            instruments=tuple(facts["instruments"]),
        )
    except InputError:
        raise
    except (OSError, pa.ArrowException, KeyError, ValueError, RecursionError) as error:
        raise InputError(
            f"{file}: expected a recording of retinoscope collect, got something else ({error!r})"
        ) from error


def dwells(
    positions: Positions, pauses: Sequence[tuple[float, float]], end: float, dispersion: float
) -> tuple[Float[np.ndarray, "fixation xy"], np.ndarray, np.ndarray]:
    """Where the window stayed: positions, with start and end in seconds.

    A position holds until the next one, a pause or the end. Neighbouring positions whose width plus
    height stays within `dispersion` are merged; what lasts less than `HELD` seconds is taken as
    movement and dropped. A merged position is the mean over its time.

    Source: dispersion-threshold identification, Salvucci and Goldberg 2000 (ETRA), section 3.3.
    """
    dwell_times: list[tuple[np.ndarray, float, float]] = []
    group: list[tuple[float, float, float, float]] = []
    low = high = np.zeros(2)

    def close() -> None:
        if group:
            seconds = np.array([stop - start for _, _, start, stop in group])
            where = np.array([(x, y) for x, y, _, _ in group])
            if seconds.sum() >= HELD:
                mean = (where * seconds[:, None]).sum(0) / seconds.sum()
                dwell_times.append((mean, group[0][2], group[-1][3]))

    for interval in _intervals(positions, pauses, end):
        point = np.array(interval[:2])
        wider = np.minimum(low, point), np.maximum(high, point)
        apart = not group or interval[2] > group[-1][3] + 1e-9
        if apart or (wider[1] - wider[0]).sum() > dispersion:
            close()
            group, wider = [], (point, point)
        low, high = wider
        group.append(interval)
    close()
    points = np.array([where for where, _, _ in dwell_times]).reshape(-1, 2)
    times = np.array([(start, stop) for _, start, stop in dwell_times]).reshape(-1, 2)
    return points, times[:, 0], times[:, 1]


def _intervals(
    positions: Positions, pauses: Sequence[tuple[float, float]], end: float
) -> list[tuple[float, float, float, float]]:
    """x, y, start and stop of each position for the time it held."""
    intervals = []
    breaks = sorted(begins for begins, _ in pauses)
    for k, (start, x, y) in enumerate(positions):
        stop = positions[k + 1][0] if k + 1 < len(positions) else end
        nearest = bisect_left(breaks, start)
        if nearest < len(breaks):
            stop = min(stop, breaks[nearest])
        if x is not None and y is not None and stop > start:
            intervals.append((float(x), float(y), float(start), float(stop)))
    return intervals


def collected(folder: str | Path, options: GazeOptions | None = None) -> LazySamples:
    """Samples of a folder written by `retinoscope collect`, one per image, with `attention`.

    Each session is an observer. `Gaze.instrument` is "pointer": a window moved by hand, not eyes.
    Unless `gaze.json` gives a bandwidth, it is the window's radius.

    Args:
        options: replaces `gaze.json`, see `GazeOptions`; positions are pixels of the image.

    Raises:
        InputError: no collection, no finished image, a recording without its image; on access, a
            damaged file.
    """
    root = existing_folder(folder, "a folder of collected sessions")
    if not (root / COLLECTION).is_file():
        raise InputError(f"{root}: expected {COLLECTION}, which `retinoscope collect` writes there")
    settings = read_options(root) if options is None else options
    images = images_below(root / "images") if (root / "images").is_dir() else {}
    by_image: dict[str, list[Path]] = {}
    for file in sorted((root / "sessions").glob("*/*.parquet")):
        if file.stem not in images:
            raise InputError(f"{file}: expected its image in {root / 'images'}, got none")
        by_image.setdefault(file.stem, []).append(file)
    if not by_image:
        raise InputError(f"{root}: expected at least one finished image, got none")
    selected = chosen({name: images[name] for name in sorted(by_image)}, settings.subset, str(root))
    source = _Collected(root, settings, tuple(selected.items()), by_image)
    return LazySamples(f"collected:{root}", source.read, source.describe, range(len(selected)))


@dataclass(frozen=True)
class _Collected:
    root: Path
    options: GazeOptions
    images: tuple[tuple[str, Path], ...]
    files: Mapping[str, Sequence[Path]]

    def describe(self, places: Sequence[int]) -> object:
        taken = [self.images[place] for place in places]
        files = [file for name, _ in taken for file in self.files[name]]
        return {
            "source": "collected",
            "options": self.options.described,
            "images": [[name, content_hash(file)] for name, file in taken],
            "sessions": [[file.parent.name, content_hash(file)] for file in files],
        }

    def read(self, place: int) -> Sample:
        name, file = self.images[place]
        image = open_image(file)
        gazes: list[Gaze] = []
        ids = set()
        for path in self.files[name]:
            trial = read_trial(path)
            if trial.size != image.size:
                raise InputError(
                    f"{path}: expected an image of {trial.size[0]}x{trial.size[1]}, got "
                    f"{image.width}x{image.height}"
                )
            ids.add(trial.image)
            options = self.options
            if options.bandwidth is None and options.pixels_per_degree is None:
                options = replace(options, pixels_per_degree=trial.radius)
            gazes += trial.recording(str(path)).gazes(Viewport(), image.size, options)
        settings = read_json(self.root / COLLECTION)
        return Sample(
            id=ids.pop() if len(ids) == 1 else name,
            image=image,
            captions=texts_of(gazes),
            attention=tuple(gazes),
            meta={
                "source": "collected",
                "file_name": file.name,
                "dropped": 0,
                "notes": (),
                "collection": settings,
            },
        )
