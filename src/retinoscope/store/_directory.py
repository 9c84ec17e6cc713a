"""A study's run directory: one writer, resumable, always the same bytes in the end."""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa
from filelock import BaseFileLock

from retinoscope.errors import InputError, RetinoscopeError, StudyError
from retinoscope.store._atomic import (
    explained,
    remove_leftovers,
    sync_folder,
    write_bytes,
)
from retinoscope.store._fingerprint import Json
from retinoscope.store._ledger import Ledger
from retinoscope.store._lock import LOCK_NAME, lock_folder
from retinoscope.store._manifest import (
    MANIFEST_NAME,
    complete,
    differences,
    mark_of,
    now,
    read_manifest,
    write_manifest,
)
from retinoscope.store._parts import (
    PARTS,
    RESULTS,
    PartIndex,
    merged,
    ordered_keys,
    read_part,
    write_results,
)
from retinoscope.store._place import check_place, make_folder, relative_name, remove_folders
from retinoscope.store._rows import KEY, Row, join_schemas, table_of
from retinoscope.store._tensors import TENSORS, load_tensors, save_tensors

if TYPE_CHECKING:
    import torch


class RunDirectory:
    """The directory that a study writes and the report reads.

    Use it in a `with` block: leaving it, even by Ctrl-C or an error, writes the buffer and releases
    the lock. A killed process loses at most the buffer. A run that is *refused* (an `InputError`, a
    `CapabilityError` or a `MissingExtraError` leaves the block) before it has a row removes its
    manifest and everything it wrote, so that the corrected command finds the folder free.

    Example:
        with RunDirectory.open("runs/ablation", manifest, schema=1, order=keys) as directory:
            for key, sample in zip(keys, samples):
                if key not in directory:
                    directory.write(key, rows_of(sample))
            directory.finish()
    """

    def __init__(
        self,
        path: Path,
        manifest: dict[str, Json],
        session: dict[str, Json] | None,
        lock: BaseFileLock,
        order: Sequence[str] | None,
        buffer_samples: int,
        buffer_seconds: float,
        made: Sequence[Path] | None = None,
    ) -> None:
        """Use `RunDirectory.open`. `made` are the folders that a new run created; else None."""
        self._made = made
        self.path = path
        self.manifest = manifest
        self._session = session
        self._lock = lock
        self._order = None if order is None else tuple(order)
        self._ledger = Ledger(path, mark_of(manifest))
        self._types = dict(self._index.types)
        self._buffer: dict[str, pa.Table] = {}
        self._buffer_samples = buffer_samples
        self._buffer_seconds = buffer_seconds
        # The first sample of a session is written at once, so that a run which is killed every few
        # seconds still gains one each time.
        self._flushed_at = float("-inf")
        self._closed = False

    @property
    def _index(self) -> PartIndex:
        return self._ledger.index

    @classmethod
    def open(
        cls,
        path: str | Path,
        manifest: Mapping[str, object],
        schema: int,
        order: Sequence[str] | None = None,
        *,
        buffer_samples: int = 16,
        buffer_seconds: float = 5.0,
    ) -> Self:
        """Creates the run directory `path`, or continues it.

        Args:
            manifest: from `new_manifest`. All but command, versions, device and times identifies
                the run.
            schema: version of the study's rows; increase it when their meaning changes.
            order: all sample keys in the order of the results; by default sorted keys. If given,
                `finish` refuses while samples are missing.
            buffer_samples: number of finished samples held in memory before a part is written.
            buffer_seconds: the longest time a finished sample waits (checked at each `write`); the
                first one is written at once.

        Raises:
            InputError: `path` is a file, holds something else or another run, is being written by
                another process, or cannot be written.
            StudyError: the disk is full.
        """
        folder = Path(path)
        fields = complete(manifest, schema)
        if order is not None and len(set(order)) != len(order):
            raise InputError(f"{len(order) - len(set(order))} sample keys are given twice")
        check_place(folder)
        made = make_folder(folder)
        lock: BaseFileLock | None = None
        try:
            lock = lock_folder(folder)
            # Another process may have started a run here between the first check and the lock.
            check_place(folder)
            session = None
            if (folder / MANIFEST_NAME).exists():
                stored = read_manifest(folder)
                differing = differences(fields, stored)
                if differing:
                    raise InputError(
                        f"{folder} belongs to another run; different: {'; '.join(differing)}; "
                        "give another output folder, or the command that started this one"
                    )
                remove_leftovers(folder)
                session = {n: fields[n] for n in ("command", "versions", "device") if n in fields}
                fields = stored
            else:
                remove_leftovers(folder)
                write_manifest(folder, fields)
            new = made if session is None else None
            return cls(folder, fields, session, lock, order, buffer_samples, buffer_seconds, new)
        except BaseException:
            if made and not (folder / MANIFEST_NAME).exists():
                remove_folders(made, own_lock=lock is not None)
            if lock is not None:
                lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        refused = isinstance(error, RetinoscopeError) and not isinstance(error, StudyError)
        if refused and self._made is not None and not self._has_rows:
            self._withdraw(self._made)
            return
        try:
            self.close()
        except Exception:
            # The first error is the cause and must stay visible (the disk may have been full then).
            if error is None:
                raise

    def done(self) -> set[str]:
        """Keys of the finished samples, including those still in the buffer."""
        return self._index.places.keys() | self._buffer.keys()

    def __contains__(self, key: object) -> bool:
        """Whether the sample `key` is finished; faster than `key in directory.done()`."""
        return key in self._index.places or key in self._buffer

    def write(self, key: str, rows: Sequence[Row]) -> None:
        """Takes one finished sample. Rows may differ in columns; a sample may have no rows.

        Raises:
            InputError: the sample is already finished, or a value cannot be stored (nothing of the
                sample is then kept).
            StudyError: the disk is full; the sample stays in the buffer.
        """
        self._check_open()
        if key in self:
            raise InputError(f"sample {key} is already finished; skip the keys in done()")
        table = table_of(key, rows)
        self._types = join_schemas(self._types, table.schema, f"sample {key}")
        self._buffer[key] = table
        late = time.monotonic() - self._flushed_at >= self._buffer_seconds
        if late or len(self._buffer) >= self._buffer_samples:
            self.flush()

    def flush(self) -> None:
        """Writes the buffer as one part. Raises `StudyError` when the disk is full."""
        self._check_open()
        if not self._buffer:
            return
        self._note_session()
        # A merged file without these samples would look complete.
        self._remove_results()
        self._ledger.add(self._buffer)
        self._index.types.update(self._types)
        self._buffer.clear()
        self._flushed_at = time.monotonic()

    def forget(self, keys: Collection[str]) -> None:
        """Removes finished samples, so that they can be written again.

        Raises:
            StudyError: the disk is full.
        """
        self.flush()
        self._note_session()
        self._remove_results()
        self._ledger.forget(keys)

    def write_tensors(self, name: str, tensors: Mapping[str, np.ndarray | torch.Tensor]) -> Path:
        """Writes `tensors/<name>.safetensors` whole, replacing any file of that name.

        Raises:
            InputError: a name that leaves the folder, no tensors, or values that are not arrays.
            StudyError: the disk is full.
        """
        self._check_open()
        path = self.path / TENSORS / (relative_name(name).as_posix() + ".safetensors")
        save_tensors(path, tensors)
        return path

    def read_tensors(self, name: str) -> dict[str, np.ndarray]:
        """Reads what `write_tensors` wrote, as NumPy arrays; raises `InputError` if missing."""
        return load_tensors(self.path / TENSORS / (relative_name(name).as_posix() + ".safetensors"))

    def write_file(self, name: str, content: bytes) -> Path:
        """Writes a picture, a report or JSON under a relative name such as `"pictures/7.png"`.

        Raises:
            InputError: a name that leaves the folder or belongs to the store.
            StudyError: the disk is full.
        """
        self._check_open()
        relative = relative_name(name)
        if relative.parts[0] in (MANIFEST_NAME, RESULTS, PARTS, LOCK_NAME):
            raise InputError(f"{name!r} is written by the store itself; choose another name")
        write_bytes(self.path / relative, content)
        return self.path / relative

    def rows(self) -> pa.Table:
        """All rows finished so far, sorted as in results.parquet; possibly none."""
        if not self._closed:
            self.flush()
        return merged(self._index, ordered_keys(self._index, self._order))

    def scan(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yields the finished samples' values of `columns`, part by part, in no particular order.

        A table lacks the columns that its part lacks; "sample_key" is always there.
        """
        self.flush()
        for part in list(self._index.rows):
            yield read_part(part, [KEY, *columns])

    def finish(self) -> Path:
        """Merges the parts into results.parquet, sorted by sample and row; returns its path.

        Raises:
            StudyError: samples named by `order` are missing, or the disk is full.
        """
        self.flush()
        missing = len(set(self._order or ()) - self._index.places.keys())
        if missing:
            raise StudyError(
                f"{missing} of {len(self._order or ())} samples are not finished; "
                "the same command continues with them"
            )
        path = self.path / RESULTS
        write_results(
            path, self._index, ordered_keys(self._index, self._order), mark_of(self.manifest)
        )
        return path

    def close(self) -> None:
        """Writes the buffer and releases the lock, even if writing fails."""
        if self._closed:
            return
        try:
            self.flush()
        finally:
            self._closed = True
            self._lock.release()

    @property
    def _has_rows(self) -> bool:
        return any(table.num_rows for table in self._buffer.values()) or any(
            self._index.rows.values()
        )

    def _withdraw(self, made: Sequence[Path]) -> None:
        """Removes a refused run from its folder, which was empty before."""
        self._closed = True
        self._buffer.clear()
        # The manifest goes first, so that an interruption does not leave something like a run.
        entries = sorted(self.path.iterdir(), key=lambda entry: entry.name != MANIFEST_NAME)
        for entry in entries:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            elif entry.name != LOCK_NAME:
                with suppress(OSError):
                    entry.unlink()
        if made:
            remove_folders(list(made), own_lock=True)
        self._lock.release()
        if not made:
            with suppress(OSError):
                (self.path / LOCK_NAME).unlink(missing_ok=True)

    def _check_open(self) -> None:
        if self._closed:
            raise InputError(f"{self.path} is closed; open it again with RunDirectory.open")

    def _note_session(self) -> None:
        if self._session is None:
            return
        resumed = self.manifest.get("resumed")
        entries = [*resumed] if isinstance(resumed, list) else []
        manifest = {**self.manifest, "resumed": [*entries, {"time": now(), **self._session}]}
        write_manifest(self.path, manifest)
        self.manifest, self._session = manifest, None

    def _remove_results(self) -> None:
        path = self.path / RESULTS
        try:
            if path.exists():
                path.unlink()
                sync_folder(self.path)
        except OSError as error:
            raise explained(error, path) from error
