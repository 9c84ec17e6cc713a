"""Fixations as files list them, and the `Gaze` of each observer and segment that they make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ..data import Gaze, Segment
from ..errors import InputError
from ._mat import read_mat
from ._options import GazeOptions
from ._rows import FixationRow, rows
from ._viewport import Viewport, inside


@dataclass(frozen=True, eq=False)
class Fixations:
    """Some fixations of one observer, while they said or read one segment.

    Attributes:
        points: (n, 2) x and y, in pixels of the screen.
        seconds: of each, None where they are not known.
    """

    points: Float[np.ndarray, "fixation xy"]
    seconds: float | None = None
    observer: int | None = None
    segment: Segment | None = None


def fixation(where: str, row: FixationRow) -> Fixations:
    """The fixation of one row. Raises InputError for times or a segment that cannot be."""
    point = np.array([(row.x, row.y)])
    return Fixations(point, row.seconds(where), row.observer, row.part(where))


def read_fixations(file: Path, size: tuple[int, int]) -> Iterator[Fixations]:
    """The fixations that a file lists of one image of `size`.

    Raises:
        InputError: what `read_mat` or a row of the table raises.
    """
    if file.suffix.lower() == ".mat":
        for observer, points in read_mat(file, size):
            yield Fixations(points, observer=observer)
    else:
        for where, row in rows(file, FixationRow):
            yield fixation(where, row)


def gazes_of(
    found: Iterable[Fixations],
    texts: Sequence[Segment | None],
    viewport: Viewport,
    size: tuple[int, int],
    options: GazeOptions,
) -> list[Gaze]:
    """A `Gaze` for each segment and observer; fixations without a segment are of each of `texts`.

    Raises:
        InputError: durations of some fixations of an observer only.
    """
    groups: dict[tuple[Segment | None, int | None], list[Fixations]] = {}
    for one in found:
        for segment in (one.segment,) if one.segment else texts:
            groups.setdefault((segment, one.observer), []).append(one)
    return [
        _gaze(group, segment, observer, viewport, size, options)
        for (segment, observer), group in groups.items()
    ]


def _gaze(
    group: Sequence[Fixations],
    segment: Segment | None,
    observer: int | None,
    viewport: Viewport,
    size: tuple[int, int],
    options: GazeOptions,
) -> Gaze:
    points = viewport.to_image(np.concatenate([one.points for one in group]))
    known = [one.seconds is not None for one in group for _ in one.points]
    # Without times, each fixation counts the same; with some, one of unknown length cannot.
    if any(known) and not all(known):
        raise InputError(
            f"expected durations of all fixations or of none, got {sum(known)} of {len(known)}"
        )
    counted = [1.0 if one.seconds is None else one.seconds for one in group for _ in one.points]
    here = inside(points, size)
    return Gaze(
        segment=segment,
        size=size,
        provenance="human",
        fixations=points[here],
        durations=np.array(counted)[here],
        observer=observer,
        dropped=int((~here).sum()),
        settings={"bandwidth": options.kernel(size), "timed": any(known)},
    )
