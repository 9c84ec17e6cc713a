"""The static export: a folder that opens from disk, without a server or a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..report.files import write_whole
from ..studies import evaluating
from ..studies.runs import StudyRun, collect
from ._documents import CapabilityFacts
from ._json import text_of
from ._library import SHOWN, THUMB, Library, jpeg_of
from ._page import ASSETS, asset, page
from ._reopen import reopen

if TYPE_CHECKING:
    from ..data import Sample
    from ..engine import VLM
    from ..lens import Kind

VIEW = "view"
Progress = Callable[[int, int, str], None]
"""Called with the number of documents done, their total, and the name of the last one."""


def export_view(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    load: Callable[[str], VLM] | None,
    model: str | None = None,
    data: Sequence[Sample] | None = None,
    n_lens: int = 50,
    kinds: Iterable[str | Kind] = ("logit",),
    progress: Progress | None = None,
) -> tuple[Path, tuple[CapabilityFacts, ...]]:
    """Writes the page of the finished studies in `folder`, or updates it.

    A file is kept if its inputs have not changed since it was written.

    Args:
        folder: a run directory, or a folder of them.
        out: where to write; `view` in `folder` if None.
        load: loads a model by name; None to do without a model.
        model: the name that the user gave; if None, the runs' own if it is a packaged model.
        data: the samples; if None, the drawn scenes that the runs name.
        n_lens: number of samples, from the first, that get lenses and attention.
        kinds: the kinds of lens, by name or fitted; the page begins with the first.
        progress: called after each document.

    Returns:
        The page's path, and which views it has and lacks.

    Raises:
        InputError: there is no finished study in `folder`, the folder cannot be written, or this
            copy of retinoscope lacks the front end.
    """
    with evaluating(folder):
        return _exported(Path(folder), out, load, model, data, n_lens, kinds, progress)


def _exported(
    root: Path,
    out: str | Path | None,
    load: Callable[[str], VLM] | None,
    model: str | None,
    data: Sequence[Sample] | None,
    n_lens: int,
    kinds: Iterable[str | Kind],
    progress: Progress | None,
) -> tuple[Path, tuple[CapabilityFacts, ...]]:
    goal = root / VIEW if out is None else Path(out)
    for name in ASSETS:
        asset(name)
    runs = _same_model(collect(root))
    library = Library(runs, reopen(runs, load, data, model), n_lens=n_lens, kinds=kinds)
    keys = library.keys()
    show = progress or (lambda done, total, what: None)
    show(0, len(keys), "preparing")
    for done, key in enumerate(keys, start=1):
        kept = _write(library, goal, key)
        show(done, len(keys), f"{key}{' (kept)' if kept else ''}")
    for name in ASSETS:
        write_whole(goal / name, asset(name))
    title = library.manifest().title
    write_whole(goal / "index.html", page("static", title))
    return goal / "index.html", tuple(library.capabilities())


def _same_model(runs: Sequence[StudyRun]) -> list[StudyRun]:
    """Returns all runs, those of the first run's model first."""
    return sorted(runs, key=lambda run: run.model != runs[0].model)


def _write(library: Library, goal: Path, key: str) -> bool:
    """Writes one document with its images; returns True if a current one was there already."""
    file = goal / "data" / f"{key}.js"
    head = f"// {library.fingerprint(key)}\n".encode()
    images = _images(goal, key)
    if _starts_with(file, head) and (not images or _all_exist(images, file)):
        return True
    document = library.document(key)
    if images:
        image = library.shown(int(key.rpartition("-")[2])).image
        for path, longest in images.items():
            if image is not None:
                write_whole(path, jpeg_of(image, longest))
    body = f"retinoscopeData({text_of(key)},{text_of(document)});\n"
    write_whole(file, head + body.encode("ascii"))
    return False


def _images(goal: Path, key: str) -> dict[Path, int]:
    if not key.startswith("sample-"):
        return {}
    name = f"{key.partition('-')[2]}.jpg"
    return {goal / "images" / name: SHOWN, goal / "thumbs" / name: THUMB}


def _all_exist(images: dict[Path, int], file: Path) -> bool:
    if all(path.is_file() for path in images):
        return True
    # A sample without an image has no files.
    return b'"image":null' in file.read_bytes()


def _starts_with(file: Path, head: bytes) -> bool:
    try:
        with file.open("rb") as stream:
            return stream.read(len(head)) == head
    except OSError:
        return False
