"""One writer per run directory, by a lock that the system releases if the writer dies."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from errno import EINVAL, ENOLCK, ENOSYS, EOPNOTSUPP
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from retinoscope.errors import CapabilityError, InputError
from retinoscope.store._atomic import explained

LOCK_NAME = ".lock"


def lock_folder(folder: Path) -> BaseFileLock:
    """Takes the lock `<folder>/.lock`, which holds the writer's process id as text.

    Raises:
        InputError: another process holds it, or the folder or its file system has no locks.
        CapabilityError: on Windows, which cannot make the names in a folder durable.
    """
    if sys.platform == "win32":
        raise CapabilityError("run directories are not written on Windows; use WSL or Linux")
    path = folder / LOCK_NAME
    # Not thread_local, since another thread may close the run directory; no soft lock, which a
    # killed writer would leave behind.
    lock = FileLock(path, blocking=False, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        holder = path.read_bytes()[:32].decode("ascii", "replace").strip()
        raise InputError(
            f"{folder} is already being written by process {holder or 'unknown'}; "
            "wait for it to end, or give another output folder"
        ) from None
    except OSError as error:
        if error.errno in {ENOSYS, ENOLCK, EOPNOTSUPP, EINVAL}:
            raise InputError(
                f"the file system of {folder} has no file locks; give an output folder on a "
                "local disk"
            ) from error
        raise explained(error, path) from error
    # The number only serves the other side's message: a full disk must not cost the lock.
    with suppress(OSError):
        path.write_text(f"{os.getpid()}\n")
    return lock
