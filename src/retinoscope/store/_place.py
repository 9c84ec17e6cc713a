"""Where a run directory may be, and names inside it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path, PurePosixPath

from retinoscope.errors import InputError
from retinoscope.store._atomic import TEMPORARY_PREFIX, explained
from retinoscope.store._lock import LOCK_NAME
from retinoscope.store._manifest import MANIFEST_NAME


def check_place(folder: Path) -> None:
    """Raises `InputError` for a file, and for a folder that has other content but no run."""
    try:
        if folder.is_dir():
            names = [entry.name for entry in folder.iterdir()]
            is_run = MANIFEST_NAME in names
            # A run killed before writing its manifest leaves only these.
            foreign = [n for n in names if n != LOCK_NAME and not n.startswith(TEMPORARY_PREFIX)]
            if foreign and not is_run:
                raise InputError(
                    f"{folder} holds other files (such as {min(foreign)!r}) and no {MANIFEST_NAME};"
                    " give an empty or a new output folder"
                )
        elif folder.exists() or folder.is_symlink():
            raise InputError(f"{folder} is not a folder; give a folder for the output")
    except OSError as error:
        raise explained(error, folder) from error


def make_folder(folder: Path) -> list[Path]:
    """Creates `folder` and its missing parents; returns the new folders, deepest first."""
    made: list[Path] = []
    try:
        made = [p for p in (folder, *folder.parents) if not p.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remove_folders(made, own_lock=False)
        raise explained(error, folder) from error
    return made


def remove_folders(made: list[Path], own_lock: bool) -> None:
    """Removes the folders that `make_folder` created, as far as they are empty."""
    # A process that created the folder at the same time keeps its lock file, and so the folder.
    if own_lock:
        with suppress(OSError):
            (made[0] / LOCK_NAME).unlink(missing_ok=True)
    for path in made:
        with suppress(OSError):
            path.rmdir()


def relative_name(name: str) -> PurePosixPath:
    """`name` as a path inside the run directory. Raises `InputError` if it leaves it."""
    path = PurePosixPath(name)
    unsafe = path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name
    if not path.parts or unsafe or path.name.startswith(TEMPORARY_PREFIX):
        raise InputError(
            f"{name!r} is not a relative name inside the run directory, like 'a/b.png'"
        )
    return path
