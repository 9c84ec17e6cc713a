"""Fixations as listed in files, and the `Gaze` of each observer and segment made from them."""

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
    """Fixations of one observer while they spoke or read one segment.

    Attributes:
        points: (n, 2) x and y, in pixels of the screen.
        seconds: duration of each, None where unknown.
    """

    points: Float[np.ndarray, "fixation xy"]
    seconds: float | None = None
    observer: int | None = None
    segment: Segment | None = None


def fixation(where: str, row: FixationRow) -> Fixations:
    """The fixation in one row. Raises InputError for impossible times or an unknown segment."""
    point = np.array([(row.x, row.y)])
    return Fixations(point, row.seconds(where), row.observer, row.part(where))


def read_fixations(file: Path, size: tuple[int, int]) -> Iterator[Fixations]:
    """Yields the fixations that a file lists for one image of `size`.

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
    fixations: Iterable[Fixations],
    texts: Sequence[Segment | None],
    viewport: Viewport,
    size: tuple[int, int],
    options: GazeOptions,
) -> list[Gaze]:
    """Makes a `Gaze` for each segment and observer.

    Fixations without a segment belong to each of `texts`.

    Raises:
        InputError: an observer with durations for some fixations only.
    """
    groups: dict[tuple[Segment | None, int | None], list[Fixations]] = {}
    for entry in fixations:
        for segment in (entry.segment,) if entry.segment else texts:
            groups.setdefault((segment, entry.observer), []).append(entry)
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
    points = viewport.to_image(np.concatenate([entry.points for entry in group]))
    known = [entry.seconds is not None for entry in group for _ in entry.points]
    # Without any durations fixations count equally; with some, the others cannot be weighted.
    if any(known) and not all(known):
        raise InputError(
            f"expected durations of all fixations or of none, got {sum(known)} of {len(known)}"
        )
    counted = [
        1.0 if entry.seconds is None else entry.seconds for entry in group for _ in entry.points
    ]
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
