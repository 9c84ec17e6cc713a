"""The parts of a run directory, as seen by its only writer."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from retinoscope.store._atomic import explained
from retinoscope.store._compact import LOOSE_PARTS, loose_parts, segments, write_segment
from retinoscope.store._parts import PARTS, PartIndex, part_files, read_index, write_part


class Ledger:
    """Adds parts and merges small ones.

    The files on disk are authoritative. After a write that ends early, even by Ctrl-C between the
    rename and the note of it here, the index is read again, so that no sample is written twice and
    no part is overwritten.
    """

    def __init__(self, folder: Path, run: str) -> None:
        """Reads the parts' metadata, and removes parts replaced by a segment.

        Args:
            run: the run's mark, which every part carries.

        Raises:
            InputError: a part that cannot be read or belongs to another run, or a sample that is in
                two parts.
        """
        self._folder, self._run = folder, run
        self._stale = True
        self._reload()

    def add(self, tables: Mapping[str, pa.Table]) -> None:
        """Writes those of `tables` (one per sample) that are not stored yet, as one part.

        Raises:
            StudyError, InputError: see `atomic_file`.
        """
        self._reload()
        new = {key: table for key, table in tables.items() if key not in self.index.places}
        if not new:
            return
        with self._writing() as path:
            places = write_part(path, list(new.items()), self._run)
            rows = sum(place.count for place in places.values())
            self.index.places.update(places)
            self.index.rows[path] = rows
        if len(loose := loose_parts(self.index)) >= LOOSE_PARTS:
            for parts in segments(self.index, loose):
                self._merge(parts)

    def forget(self, keys: Collection[str]) -> None:
        """Removes samples by rewriting the parts that hold them.

        Raises:
            StudyError, InputError: see `atomic_file`.
        """
        self._reload()
        unwanted = {key for key in keys if key in self.index.places}
        for part in sorted({self.index.places[key].part for key in unwanted}):
            with self._writing() as path:
                write_segment(path, [part], self._run, without=unwanted)
                _remove([part])
            self._stale = True
            self._reload()

    def _merge(self, parts: list[Path]) -> None:
        with self._writing() as path:
            self.index.places.update(write_segment(path, parts, self._run))
            self.index.rows[path] = sum(self.index.rows.pop(part) for part in parts)
            _remove(parts)

    @contextmanager
    def _writing(self) -> Iterator[Path]:
        self._stale = True
        yield self._folder / PARTS / f"{self._next:06d}.parquet"
        self._next += 1
        self._stale = False

    def _reload(self) -> None:
        if not self._stale:
            return
        files = part_files(self._folder)
        self.index: PartIndex = read_index(files, self._run)
        # Replaced parts have smaller numbers than their segment, so no number is used again.
        self._next = 1 + max((int(p.stem) for p in files if p.stem.isdigit()), default=-1)
        _remove(self.index.replaced)
        self._stale = False


def _remove(parts: list[Path] | tuple[Path, ...]) -> None:
    for part in parts:
        try:
            part.unlink(missing_ok=True)
        except OSError as error:
            raise explained(error, part) from error
