"""A sequence of samples that are read on access."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

from .. import arguments
from ..errors import InputError, RetinoscopeError
from ._sample import Sample
from .skipped import Skipped


@dataclass(frozen=True, eq=False, repr=False)
class LazySamples(Sequence[Sample]):
    """Samples of a data source; slices are lazy as well.

    `read(k)` reads sample k of the source; `describe(places)` returns as JSON everything that the
    samples at these places depend on; `name` names the source. `classes` are the names that its
    objects can have, in the source's order; empty if it does not declare them. `skipped` lists what
    none of the samples holds, such as files in an unsupported format.
    """

    name: str
    read: Callable[[int], Sample]
    describe: Callable[[Sequence[int]], object]
    places: range
    classes: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    @property
    def fingerprint(self) -> str:
        """The same for the same content, wherever it is; a SHA-256 in hexadecimal.

        It covers names and sizes in bytes of images, and every byte of annotations and questions.
        """
        with _files_read(self.name):
            description = json.dumps(self.describe(self.places), sort_keys=True)
        return hashlib.sha256(description.encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> LazySamples: ...
    def __getitem__(self, index: int | slice) -> Sample | LazySamples:
        if isinstance(index, slice):
            return replace(self, places=self.places[index])
        place = arguments.nth(index, len(self), "sample")
        with _files_read(self.name):
            return self.read(self.places[place])

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"LazySamples({len(self)} from {self.name})"


@contextmanager
def _files_read(name: str) -> Iterator[None]:
    """Turns the error for a file that is missing, a folder, or unreadable into one line."""
    try:
        yield
    except OSError as error:
        if isinstance(error, RetinoscopeError):
            raise
        file = name if error.filename is None else error.filename
        why = error.strerror or str(error)
        raise InputError(f"{file}: cannot be read ({why}): check the path") from error


def content_hash(file: Path | None) -> str | None:
    """SHA-256 of a file's bytes; None for no file."""
    if file is None:
        return None
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def existing_folder(path: str | Path, what: str) -> Path:
    """Returns `path` as an existing folder. Raises InputError otherwise; `what` describes it."""
    folder = arguments.path(path, what).expanduser()
    if not folder.is_dir():
        got = "a file" if folder.exists() else "nothing there"
        raise InputError(f"{folder}: expected {what}, got {got}: check the path")
    return folder
