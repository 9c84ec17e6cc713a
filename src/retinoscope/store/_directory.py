"""The run directory of a study: one writer, resumable, the same bytes whatever happened."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from retinoscope.errors import InputError, StudyError
from retinoscope.store._atomic import (
    TEMPORARY_PREFIX,
    explained,
    remove_leftovers,
    sync_folder,
    write_bytes,
)
from retinoscope.store._fingerprint import Json
from retinoscope.store._lock import LOCK_NAME, DirectoryLock
from retinoscope.store._manifest import (
    MANIFEST_NAME,
    complete,
    differences,
    now,
    read_manifest,
    write_manifest,
)
from retinoscope.store._parts import (
    PARTS,
    RESULTS,
    Index,
    merged,
    ordered_keys,
    part_files,
    read_index,
    write_part,
    write_results,
)
from retinoscope.store._rows import Row, join_schemas, table_of
from retinoscope.store._tensors import TENSORS, load_tensors, save_tensors

if TYPE_CHECKING:
    import torch


class RunDirectory:
    """What a study writes and the report reads.

    Use it in a `with` block: leaving it, also by Ctrl-C or an error, writes what is buffered and
    gives the lock back. A killed process loses at most the buffer.

    Example:
        with RunDirectory.open("runs/ablation", manifest, schema=1, order=keys) as directory:
            for key, sample in zip(keys, samples):
                if key not in directory.done():
                    directory.write(key, rows_of(sample))
            directory.finish()
    """

    def __init__(
        self,
        path: Path,
        manifest: dict[str, Json],
        session: dict[str, Json] | None,
        lock: DirectoryLock,
        order: Sequence[str] | None,
        buffer_samples: int,
        buffer_seconds: float,
    ) -> None:
        """Use `RunDirectory.open`."""
        self.path = path
        self.manifest = manifest
        self._session = session
        self._lock = lock
        self._order = None if order is None else tuple(order)
        self._index: Index = read_index(part_files(path))
        self._types = dict(self._index.types)
        self._buffer: dict[str, pa.Table] = {}
        self._buffer_samples = buffer_samples
        self._buffer_seconds = buffer_seconds
        self._flushed_at = time.monotonic()
        self._closed = False

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
        """Creates the run directory `path`, or goes on with it.

        Args:
            manifest: as from `new_manifest`. All but command, versions, device and times is the
                run's identity.
            schema: version of the study's rows; raise it when their meaning changes.
            order: all sample keys in the order of the results; by default sorted keys. With it,
                `finish` refuses while samples are missing.
            buffer_samples: finished samples held in memory before they are written as one part.
            buffer_seconds: the longest time a finished sample waits (checked at each `write`).

        Raises:
            InputError: `path` is a file, holds something else or another run, is being written by
                another process, or cannot be written.
            StudyError: the disk is full.
        """
        folder = Path(path)
        fields = complete(manifest, schema)
        if order is not None and len(set(order)) != len(order):
            raise InputError(f"{len(order) - len(set(order))} sample keys are given twice")
        _check_place(folder)
        made = _make_folder(folder)
        lock: DirectoryLock | None = None
        try:
            lock = DirectoryLock(folder)
            # Between the first look and the lock another process may have started a run here.
            _check_place(folder)
            session = None
            if (folder / MANIFEST_NAME).exists():
                stored = read_manifest(folder)
                found = differences(fields, stored)
                if found:
                    raise InputError(
                        f"{folder} belongs to another run; different: {'; '.join(found)}; "
                        "give another output folder, or the command that started this one"
                    )
                remove_leftovers(folder)
                session = {n: fields[n] for n in ("command", "versions", "device") if n in fields}
                fields = stored
            else:
                remove_leftovers(folder)
                write_manifest(folder, fields)
            return cls(folder, fields, session, lock, order, buffer_samples, buffer_seconds)
        except BaseException:
            if made and not (folder / MANIFEST_NAME).exists():
                _remove_folders(made, own_lock=lock is not None)
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
        try:
            self.close()
        except Exception:
            # The first error is the cause (the disk was full already); it must stay visible.
            if error is None:
                raise

    def done(self) -> set[str]:
        """Keys of the finished samples, also those still in the buffer."""
        return self._index.places.keys() | self._buffer.keys()

    def write(self, key: str, rows: Sequence[Row]) -> None:
        """Takes one finished sample. Rows may differ in columns; no rows is a result, too.

        Raises:
            InputError: the sample is finished already, or a value cannot be stored (nothing of the
                sample is kept then).
            StudyError: the disk is full; the sample stays in the buffer.
        """
        self._check_open()
        if key in self._index.places or key in self._buffer:
            raise InputError(f"sample {key} is finished already; skip the keys in done()")
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
        last = max((int(p.stem) for p in part_files(self.path) if p.stem.isdigit()), default=-1)
        part = self.path / PARTS / f"{last + 1:06d}.parquet"
        self._index.places.update(write_part(part, list(self._buffer.items())))
        self._index.types.update(self._types)
        self._buffer.clear()
        self._flushed_at = time.monotonic()

    def write_tensors(self, name: str, tensors: Mapping[str, np.ndarray | torch.Tensor]) -> Path:
        """Writes `tensors/<name>.safetensors` whole; an older one of that name is replaced.

        Raises:
            InputError: a name that leaves the folder, no tensors, or no arrays.
            StudyError: the disk is full.
        """
        self._check_open()
        path = self.path / TENSORS / (_relative(name).as_posix() + ".safetensors")
        save_tensors(path, tensors)
        return path

    def read_tensors(self, name: str) -> dict[str, np.ndarray]:
        """What `write_tensors` wrote, as NumPy arrays; raises `InputError` if there is none."""
        return load_tensors(self.path / TENSORS / (_relative(name).as_posix() + ".safetensors"))

    def write_file(self, name: str, content: bytes) -> Path:
        """Writes a picture, a report or JSON under a relative name such as `"pictures/7.png"`.

        Raises:
            InputError: a name that leaves the folder or belongs to the store.
            StudyError: the disk is full.
        """
        self._check_open()
        relative = _relative(name)
        if relative.parts[0] in (MANIFEST_NAME, RESULTS, PARTS, LOCK_NAME):
            raise InputError(f"{name!r} is written by the store itself; choose another name")
        write_bytes(self.path / relative, content)
        return self.path / relative

    def rows(self) -> pa.Table:
        """All rows finished so far, sorted as in results.parquet; empty when there are none."""
        if not self._closed:
            self.flush()
        return merged(self._index, ordered_keys(self._index, self._order))

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
                "the same command goes on with them"
            )
        path = self.path / RESULTS
        write_results(path, self._index, ordered_keys(self._index, self._order))
        return path

    def close(self) -> None:
        """Writes the buffer and gives the lock back, which happens also when writing fails."""
        if self._closed:
            return
        try:
            self.flush()
        finally:
            self._closed = True
            self._lock.release()

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


def read_results(path: str | Path, partial: bool = False) -> pa.Table:
    """The rows of the run directory `path`; needs no lock.

    Args:
        partial: give what is finished so far (sorted by key) where results.parquet is missing.

    Raises:
        InputError: no run directory, an unfinished run (unless `partial`), or a damaged file.
    """
    folder = Path(path)
    read_manifest(folder)
    file = folder / RESULTS
    if not file.exists():
        index = read_index(part_files(folder))
        if not partial:
            raise InputError(
                f"{folder} is not finished ({len(index.places)} samples so far); "
                "give the command that started it again, it goes on where it stopped"
            )
        return merged(index, ordered_keys(index, None))
    try:
        return pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{file} cannot be read ({type(error).__name__}); delete that file and give the same "
            "command again: it is merged anew"
        ) from None


def _check_place(folder: Path) -> None:
    try:
        if folder.is_dir():
            names = [entry.name for entry in folder.iterdir()]
            ours = MANIFEST_NAME in names
            # A run killed before its manifest was written leaves only these.
            foreign = [n for n in names if n != LOCK_NAME and not n.startswith(TEMPORARY_PREFIX)]
            if foreign and not ours:
                raise InputError(
                    f"{folder} holds other files ({min(foreign)!r} for one) and no {MANIFEST_NAME};"
                    " give an empty or a new output folder"
                )
        elif folder.exists() or folder.is_symlink():
            raise InputError(f"{folder} is no folder; give a folder for the output")
    except OSError as error:
        raise explained(error, folder) from error


def _make_folder(folder: Path) -> list[Path]:
    """Makes `folder` and what is missing above it; returns what was made, deepest first."""
    made: list[Path] = []
    try:
        made = [p for p in (folder, *folder.parents) if not p.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _remove_folders(made, own_lock=False)
        raise explained(error, folder) from error
    return made


def _remove_folders(made: list[Path], own_lock: bool) -> None:
    # Another process that made the folder at the same time keeps its lock file, and so the folder.
    if own_lock:
        with suppress(OSError):
            (made[0] / LOCK_NAME).unlink(missing_ok=True)
    for path in made:
        with suppress(OSError):
            path.rmdir()


def _relative(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    unsafe = path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name
    if not path.parts or unsafe or path.name.startswith(TEMPORARY_PREFIX):
        raise InputError(f"{name!r} is no relative name inside the run directory, as 'a/b.png' is")
    return path
