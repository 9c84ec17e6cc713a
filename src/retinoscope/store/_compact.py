"""Merges small parts into few large ones, so that a long run does not leave 100,000 files."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import pyarrow as pa

from retinoscope.store._parts import PartIndex, Place, read_index, read_part, write_part
from retinoscope.store._rows import KEY, ROW

LOOSE_PARTS = 64
"""So many small parts are merged."""

SEGMENT_ROWS = 65_536
"""A part of so many rows is large enough; it is left alone from then on."""


def loose_parts(index: PartIndex) -> list[Path]:
    """The parts that are too small, oldest first."""
    return [part for part, rows in index.rows.items() if rows < SEGMENT_ROWS]


def segments(index: PartIndex, loose: Sequence[Path]) -> list[list[Path]]:
    """Which of `loose` become one segment each: consecutive ones, until they hold `SEGMENT_ROWS`.

    A last part that would stay alone is left out.
    """
    groups: list[list[Path]] = [[]]
    rows = 0
    for part in loose:
        groups[-1].append(part)
        rows += index.rows[part]
        if rows >= SEGMENT_ROWS:
            groups.append([])
            rows = 0
    return [group for group in groups if len(group) > 1]


def write_segment(
    path: Path, parts: Sequence[Path], run: str, without: Collection[str] = ()
) -> dict[str, Place]:
    """Writes the samples of `parts` as one part that replaces them; returns where each one is.

    Args:
        run: the run's mark.
        without: samples that are left out.

    Raises:
        InputError: a part that cannot be read; also as `atomic_file` does.
        StudyError: as `atomic_file` does.
    """
    index = read_index(parts, run)
    whole = {part: read_part(part) for part in parts}
    tables: list[tuple[str, pa.Table]] = []
    for key, place in index.places.items():
        if key in without:
            continue
        rows = whole[place.part].slice(place.first, place.count)
        tables.append((key, rows.select([*place.columns, KEY, ROW])))
    return write_part(path, tables, run, replaces=parts)
