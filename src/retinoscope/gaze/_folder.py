"""Folders of images with fixations or maps, as distributed for SALICON, MIT1003 and CAT2000."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .. import data
from ..data import Gaze, Sample, Segment
from ..data.images import open_image
from ..data.lazy import LazySamples, content_hash, existing_folder
from ..data.schema import inside
from ..data.tabular import find_rows
from ..errors import InputError
from ._fixations import Fixations, fixation, gazes_of, read_fixations
from ._options import SETTINGS, GazeOptions, read_options
from ._pictures import IMAGES, chosen, images_below, read_map
from ._rows import ImageFixationRow, TextRow, of_image, rows
from ._segments import segment_of
from ._viewport import Viewport
from ._vista import images_of, texts_of

IMAGE_FOLDERS = ("images", "ALLSTIMULI", "Stimuli")
MAP_FOLDERS = ("maps", "ALLFIXATIONMAPS", "FIXATIONMAPS")
FIXATION_FOLDERS = ("fixations", "FIXATIONLOCS")
_MAP_ENDINGS = ("", "_fixMap", "_map")


def folder(path: str | Path, options: GazeOptions | None = None) -> LazySamples:
    """Samples of a folder of images with fixations or maps, one per image, with `attention`.

        images/a.jpg           or ALLSTIMULI/ (MIT1003), Stimuli/ (CAT2000), or the folder itself
        fixations.csv          (.jsonl, .parquet) one fixation per row: image, x, y and optionally
                               start, end or duration (seconds), observer (a number), text, segment
                               (a part of the text; all of it if empty), occurrence, granularity
        fixations/a.mat        or FIXATIONLOCS/: see `read_mat`; or a.csv, as above without image
        maps/a.png             or ALLFIXATIONMAPS/ (a_fixMap.jpg), FIXATIONMAPS/: grey-scale or .npy
        texts.csv              (.jsonl, .parquet) image, text: what was said or read about the image

    A map pools all observers: with one, the image's fixations that belong to no part of a text go
    into a single `Gaze` without an observer, whose density is the map. To compare observers with
    each other, leave maps out. Positions are pixels of the image, unless `gaze.json` gives the
    image's place on the screen. Without a text, viewing was free and `Gaze.segment` is None.

    Args:
        options: replaces `gaze.json`, see `GazeOptions`.

    Raises:
        InputError: no folder, no images or nothing about them, a row about an unknown image, a
            segment that is not in its text; on access, what the files raise.

    Source: Jiang et al. 2015 (SALICON), Judd et al. 2009 (MIT1003), Borji and Itti 2015 (CAT2000).
    """
    root = existing_folder(path, "a folder of images and fixations")
    settings = read_options(root) if options is None else options
    images = images_of(root, settings, IMAGE_FOLDERS)
    listed: dict[str, list[Fixations]] = {}
    table = find_rows(root, "fixations")
    for where, row in rows(table, ImageFixationRow) if table else ():
        name = of_image(where, row.image, images)
        listed.setdefault(name, []).append(fixation(where, row))
    texts = _texts(root, images)
    maps = _files(root, settings.maps, MAP_FOLDERS, images, _MAP_ENDINGS, {*IMAGES, ".npy"})
    files = _files(
        root, settings.fixations, FIXATION_FOLDERS, images, ("",), {".mat", ".csv", ".parquet"}
    )
    known = {name: file for name, file in images.items() if name in {*listed, *maps, *files}}
    if not known:
        raise InputError(
            f"{root}: expected images with fixations.csv, fixations/ or maps/ about them, got "
            f"{len(images)} images and nothing about them: see docs/human-attention.md"
        )
    selected = chosen(known, settings.subset, str(root))
    source = _Folder(root, settings, table, tuple(selected.items()), listed, files, maps, texts)
    return LazySamples(f"gaze:{root}", source.read, source.describe, range(len(selected)))


def _texts(root: Path, images: Mapping[str, Path]) -> dict[str, tuple[str, ...]]:
    table = find_rows(root, "texts")
    texts: dict[str, tuple[str, ...]] = {}
    for where, row in rows(table, TextRow) if table else ():
        name = of_image(where, row.image, images)
        texts[name] = (*texts.get(name, ()), row.text)
    return texts


def _files(
    root: Path,
    given: str | None,
    names: Sequence[str],
    images: Mapping[str, Path],
    endings: Sequence[str],
    suffixes: set[str],
) -> dict[str, Path]:
    """Finds files about images, by the image's name."""
    if given is not None:
        directory = existing_folder(root / inside(given, str(root / SETTINGS)), "such a folder")
    else:
        directory = next((root / name for name in names if (root / name).is_dir()), None)
    if directory is None:
        return {}
    # Reversed: a file named exactly like an image takes precedence over one with a map's ending.
    named = {name + ending: name for ending in reversed(endings) for name in images}
    files: dict[str, Path] = {}
    for file in sorted(directory.rglob("*")):
        name = named.get(file.relative_to(directory).with_suffix("").as_posix())
        if name is None or file.suffix.lower() not in suffixes:
            continue
        if name in files:
            raise InputError(
                f"{directory}: expected one file about {name}, got {files[name].name} and "
                f"{file.name}"
            )
        files[name] = file
    return files


@dataclass(frozen=True)
class _Folder:
    root: Path
    options: GazeOptions
    table: Path | None
    images: tuple[tuple[str, Path], ...]
    listed: Mapping[str, Sequence[Fixations]]
    files: Mapping[str, Path]
    maps: Mapping[str, Path]
    texts: Mapping[str, tuple[str, ...]]

    def describe(self, places: Sequence[int]) -> object:
        taken = [self.images[place] for place in places]
        about = [kind.get(name) for name, _ in taken for kind in (self.files, self.maps)]
        return {
            "source": "gaze",
            "options": self.options.described,
            "table": content_hash(self.table),
            "images": [[name, file.stat().st_size] for name, file in taken],
            "about": [content_hash(file) for file in about],
            "texts": [list(self.texts.get(name, ())) for name, _ in taken],
        }

    def read(self, place: int) -> Sample:
        name, file = self.images[place]
        image = open_image(file)
        viewport = Viewport()
        if self.options.viewport is not None or name in self.options.viewports:
            viewport = self.options.viewport_of(name, image.size)
        texts = self.texts.get(name, ())
        whole = tuple(segment_of(text, text, "text") for text in texts) or (None,)
        fixations = [*self.listed.get(name, ())]
        if name in self.files:
            fixations += read_fixations(self.files[name], image.size)
        gazes = gazes_of(fixations, whole, viewport, image.size, self.options)
        if name in self.maps:
            gazes = self._with_map(name, image.size, gazes, whole)
        return Sample(
            id=name,
            image=image,
            captions=texts_of(gazes),
            attention=tuple(gazes),
            meta={
                "source": "gaze",
                "file_name": file.name,
                "dropped": sum(gaze.dropped for gaze in gazes),
                "notes": (),
            },
        )

    def _with_map(
        self,
        name: str,
        size: tuple[int, int],
        gazes: list[Gaze],
        whole: Sequence[Segment | None],
    ) -> list[Gaze]:
        """Adds the map, which pools all observers, to their fixations or on its own."""
        values, done = read_map(self.maps[name], size, self.options.resize)
        whole_text = [gaze for gaze in gazes if gaze.segment in whole]
        others = [gaze for gaze in gazes if gaze.segment not in whole]
        joined = []
        for segment in whole:
            pooled = [gaze for gaze in whole_text if gaze.segment == segment]
            joined.append(
                Gaze(
                    segment=segment,
                    size=size,
                    provenance="human",
                    fixations=np.concatenate(
                        [np.zeros((0, 2)), *(gaze.fixations for gaze in pooled)]
                    ),
                    durations=np.concatenate([np.zeros(0), *(gaze.durations for gaze in pooled)]),
                    map=values,
                    dropped=sum(gaze.dropped for gaze in pooled),
                    settings=done,
                )
            )
        return [*joined, *others]


def described(path: str | Path) -> list[Sample]:
    """Images directly in a folder, each with its descriptions from `texts.csv` (.jsonl, .parquet)
    there: columns image and text.

    Raises:
        InputError: no folder, no images in it, or a text about an unknown image.
    """
    root = existing_folder(path, "a folder of images")
    texts = _texts(root, images_below(root, deep=False))
    samples = data.folder(root)
    return [replace(image, captions=texts.get(Path(image.id).stem, ())) for image in samples]
