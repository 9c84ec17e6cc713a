"""One writer per run directory, by a lock that the system releases when the writer dies."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path

from retinoscope.errors import CapabilityError, InputError
from retinoscope.store._atomic import explained

LOCK_NAME = ".lock"


class DirectoryLock:
    """An exclusive `flock` on `<folder>/.lock`, which holds the writer's process id as text.

    The file stays after release: removing it would let two writers hold locks on two files of the
    same name.
    """

    def __init__(self, folder: Path) -> None:
        """Takes the lock at once.

        Raises:
            InputError: another process holds it, or the folder or its file system has no locks.
            CapabilityError: the system has no `flock` (Windows).
        """
        if sys.platform == "win32":
            raise CapabilityError(
                "run directories need POSIX file locks, which Windows lacks; use WSL or Linux"
            )
        import fcntl

        path = folder / LOCK_NAME
        self._descriptor: int | None = None
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise explained(error, path) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise InputError(
                f"{folder} is already being written by process {holder or 'unknown'}; "
                "wait for it to end, or give another output folder"
            ) from None
        except OSError as error:
            os.close(descriptor)
            if error.errno in {errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL}:
                raise InputError(
                    f"the file system of {folder} has no file locks; give an output folder on a "
                    "local disk"
                ) from error
            raise explained(error, path) from error
        # The number only serves the other side's message; a full disk must not take the lock away.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Gives the lock back; a second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
