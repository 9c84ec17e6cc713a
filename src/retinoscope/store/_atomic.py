"""Atomic writes: temporary name, fsync, rename, fsync of the folder."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from retinoscope.errors import InputError, RetinoscopeError, StudyError

TEMPORARY_PREFIX = ".tmp-"

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.ENOENT,
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.EISDIR,
}


def explained(error: OSError, path: Path) -> RetinoscopeError:
    """The one-line error for a user, given an `OSError` met while writing `path`.

    Returns:
        `StudyError` for a full disk, an exhausted quota or a failing device (finished work is
        kept), `InputError` where the folder itself cannot be used.
    """
    what = error.strerror or str(error)
    if error.errno in _FULL:
        return StudyError(
            f"cannot write {path}: {what.lower()}; what is finished is kept: free some space, "
            "then the same command continues where it stopped"
        )
    if error.errno in _REFUSED:
        return InputError(
            f"cannot write {path}: {what.lower()}; give an output folder that can be written"
        )
    return StudyError(
        f"cannot write {path}: {what}; what is finished is kept, and the same command continues"
    )


def sync_folder(folder: Path) -> None:
    """Makes the names in `folder` durable: a rename is only safe once its folder is on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Opens a binary file that appears under `path` only if the block ends without an error.

    Missing folders are created. Readers see the old content or the new, never a part.

    Raises:
        StudyError: the disk is full or fails.
        InputError: the folder cannot be written.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            # mkstemp sets 0600; the file should be as readable as the user's other files.
            os.chmod(temporary, 0o666 & ~_umask())
            os.fsync(file.fileno())
        os.replace(temporary, path)
        temporary = None
        sync_folder(path.parent)
    except OSError as error:
        raise explained(error, path) from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()


def write_bytes(path: Path, content: bytes) -> None:
    """Writes `content` to `path` whole or not at all; raises what `atomic_file` raises."""
    with atomic_file(path) as file:
        file.write(content)


@contextmanager
def files_of_folder(folder: Path) -> Iterator[Path]:
    """Yields a folder to write into, whose files move to `folder` only if the block ends without an
    error; other files there stay.

    Raises:
        StudyError: the disk is full or fails.
        InputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=folder) as name:
            yield Path(name)
            for file in sorted(Path(name).iterdir()):
                os.replace(file, folder / file.name)
    except OSError as error:
        raise explained(error, folder) from error


def remove_leftovers(folder: Path) -> int:
    """Removes temporary files of interrupted writes under `folder`; returns their number.

    Only the holder of the folder's lock may call this: temporary files of other writers look alike.
    """
    leftovers = [p for p in folder.rglob(TEMPORARY_PREFIX + "*") if p.is_file()]
    for path in leftovers:
        try:
            path.unlink()
        except OSError as error:
            raise explained(error, path) from error
    return len(leftovers)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
