"""Merging of small parts into large ones, so that a long run does not leave 100,000 files."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import pyarrow as pa

from retinoscope.store._parts import PartIndex, Place, read_index, read_part, write_part
from retinoscope.store._rows import KEY, ROW

LOOSE_PARTS = 64
"""Merging starts at this number of small parts."""

SEGMENT_ROWS = 65_536
"""Parts with this many rows are large enough to be left alone."""


def loose_parts(index: PartIndex) -> list[Path]:
    """The parts below `SEGMENT_ROWS`, oldest first."""
    return [part for part, rows in index.rows.items() if rows < SEGMENT_ROWS]


def segments(index: PartIndex, loose: Sequence[Path]) -> list[list[Path]]:
    """Groups consecutive small parts into segments of at least `SEGMENT_ROWS` rows.

    A last part that would be alone is left out.
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
    """Merges the samples of `parts` into one part that replaces them.

    Args:
        run: the run's mark.
        without: samples to leave out.

    Returns:
        Where each sample is.

    Raises:
        InputError: a part that cannot be read, or what `atomic_file` raises.
        StudyError: what `atomic_file` raises.
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
