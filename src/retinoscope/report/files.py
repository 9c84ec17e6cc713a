"""Writing a file whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ..errors import InputError


def write_whole(path: Path, content: bytes) -> None:
    """`path` holds `content` afterwards, or what it held before.

    Raises:
        InputError: the folder cannot be written, or the disk is full.
    """
    temporary = path.with_name(f".tmp-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise InputError(
            f"cannot write {path}: {(error.strerror or str(error)).lower()}; free some space or "
            "make the folder writable, then give the same command again"
        ) from error
