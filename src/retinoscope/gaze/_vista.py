"""Folders in the format of VISTA: recordings with texts, or maps of text segments."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..data import Gaze, Sample, Segment
from ..data.images import open_image
from ..data.lazy import LazySamples, content_hash, existing_folder
from ..data.schema import inside, read_json
from ..data.tabular import find_rows
from ..errors import InputError
from ._options import SETTINGS, GazeOptions, read_options
from ._pictures import chosen, image_named, images_below, read_map, without_ending
from ._recording import read_recording
from ._rows import MapRow, of_image, rows

TRIPLETS = "triplets"


def vista(
    folder: str | Path, options: GazeOptions | None = None, *, outside: bool = False
) -> LazySamples:
    """Samples of a folder in the format of VISTA, one per image, with `Sample.attention`.

    The folder holds either recordings, one JSON file each, named after the image
    (`000000001083.json`; for several observers `000000001083.1.json`, ...), with `fixation_data`
    and `transcription_data`; or a table of maps, `triplets.csv` (.jsonl, .parquet), with columns

        image        name of an image
        text         the whole description
        segment      the part of it that the map belongs to, letter by letter
        map          a grey-scale image or a .npy array, relative to the folder
        occurrence   optional: which one, from 0, where the text has the segment several times
        granularity  optional: word, phrase, sentence or text
        observer     optional: an arbitrary number

    Images lie in `images/`, in `coco_images/` or beside the files. `gaze.json` says how to read
    them, see `GazeOptions`; for recordings it must give the images' place on the screen. A sample's
    captions are its descriptions, and `meta` has "dropped" (fixations outside the image) and
    "notes".

    Args:
        options: replaces `gaze.json`.
        outside: allow maps of segments that lie outside the folder.

    Raises:
        InputError: no folder, nothing in it, a recording or a map without its image, a segment that
            is not in its text, two tables; on access, a damaged file, times that go backwards, a
            map of another size, no viewport.

    Source: Harshit and Tasdizen 2024 (arXiv 2410.04609) and its public data.
    """
    root = existing_folder(folder, "a folder in the format of VISTA")
    settings = read_options(root) if options is None else options
    images = images_of(root, settings, ("images", "coco_images"))
    table = find_rows(root, TRIPLETS)
    files = sorted(file for file in root.glob("*.json") if file.name != SETTINGS)
    if table is not None and files:
        raise InputError(
            f"{root}: expected recordings or a table of maps, got {files[0].name} and {table.name}:"
            " keep one kind"
        )
    if table is not None:
        return _of_maps(root, table, images, settings, outside)
    if not files:
        raise InputError(
            f"{root}: expected recordings (IMAGE.json) or {TRIPLETS}.csv, got neither: name the "
            "folder that holds them"
        )
    by_image = _recordings_by_image(root, files, images, settings)
    selected = chosen({name: images[name] for name in by_image}, settings.subset, str(root))
    source = _Recordings(root, settings, tuple(selected.items()), by_image)
    return LazySamples(f"vista:{root}", source.read, source.describe, range(len(selected)))


def _recordings_by_image(
    root: Path, files: Sequence[Path], images: Mapping[str, Path], settings: GazeOptions
) -> dict[str, list[tuple[Path, int | None]]]:
    """Each image's recordings, with the observer's number if there is one."""
    by_image: dict[str, list[tuple[Path, int | None]]] = {}
    without_image = []
    for file in files:
        name, observer = _named(file.stem, images)
        if name is None:
            without_image.append(file)
        else:
            by_image.setdefault(name, []).append((file, observer))
    wanted = None if settings.subset is None else set(settings.subset)
    without_image = [file for file in without_image if wanted is None or file.stem in wanted]
    if without_image:
        raise InputError(
            f"{root}: expected an image for each recording, got none for {len(without_image)} of "
            f"{len(files)}, the first {without_image[0].name}: fetch them, or name a subset in "
            f"{SETTINGS}"
        )
    return by_image


def images_of(root: Path, options: GazeOptions, names: Sequence[str]) -> dict[str, Path]:
    """Images of the folder that the options name, else of the first of `names`, else of `root`."""
    if options.images is not None:
        name = inside(options.images, str(root / SETTINGS))
        return images_below(existing_folder(root / name, "the folder of images"))
    folder = next((root / name for name in names if (root / name).is_dir()), None)
    return images_below(root, deep=False) if folder is None else images_below(folder)


def _named(stem: str, images: Mapping[str, Path]) -> tuple[str | None, int | None]:
    """Splits a recording's file name into image and observer."""
    if stem in images:
        return stem, None
    match = re.fullmatch(r"(.+)\.(\d{1,9})", stem)
    if match and match[1] in images:
        return match[1], int(match[2])
    return None, None


@dataclass(frozen=True)
class _Recordings:
    root: Path
    options: GazeOptions
    images: tuple[tuple[str, Path], ...]
    files: Mapping[str, Sequence[tuple[Path, int | None]]]

    def describe(self, places: Sequence[int]) -> object:
        taken = [self.images[place] for place in places]
        return {
            "source": "vista",
            "options": self.options.described,
            "images": [[name, file.stat().st_size] for name, file in taken],
            "recordings": [
                [file.name, content_hash(file)] for name, _ in taken for file, _ in self.files[name]
            ],
        }

    def read(self, place: int) -> Sample:
        name, file = self.images[place]
        image = open_image(file)
        viewport = self.options.viewport_of(name, image.size)
        gazes: list[Gaze] = []
        notes: list[str] = []
        dropped = 0
        for path, observer in self.files[name]:
            recording = read_recording(read_json(path), str(path), observer)
            gazes += recording.gazes(viewport, image.size, self.options)
            dropped += recording.dropped(viewport, image.size)
            notes += [f"{path.name}: {note}" for note in recording.notes]
        return Sample(
            id=name,
            image=image,
            captions=texts_of(gazes),
            attention=tuple(gazes),
            meta={
                "source": "vista",
                "file_name": file.name,
                "dropped": dropped,
                "notes": tuple(notes),
            },
        )


def texts_of(gazes: Sequence[Gaze]) -> tuple[str, ...]:
    """The distinct texts that the segments belong to, in order."""
    return tuple(dict.fromkeys(gaze.segment.description for gaze in gazes if gaze.segment))


@dataclass(frozen=True)
class _SegmentMap:
    segment: Segment
    map: str
    observer: int | None


def _of_maps(
    root: Path, table: Path, images: Mapping[str, Path], options: GazeOptions, outside: bool
) -> LazySamples:
    maps: dict[str, list[_SegmentMap]] = {}
    wanted = None if options.subset is None else set(options.subset)
    for where, row in rows(table, MapRow):
        known = image_named(row.image, images) or without_ending(row.image)
        if wanted is not None and known not in wanted:
            continue
        name = of_image(where, row.image, images)
        file = inside(row.map, where, outside=outside)
        maps.setdefault(name, []).append(_SegmentMap(row.part(where), file, row.observer))
    if not maps:
        raise InputError(f"{table}: expected at least one map, got none")
    selected = chosen({name: images[name] for name in maps}, options.subset, str(root))
    source = _VistaMaps(root, table, options, tuple(selected.items()), maps)
    name = f"{'outside:' if outside else ''}vista:{root}"
    return LazySamples(name, source.read, source.describe, range(len(selected)))


@dataclass(frozen=True)
class _VistaMaps:
    root: Path
    table: Path
    options: GazeOptions
    images: tuple[tuple[str, Path], ...]
    rows: Mapping[str, Sequence[_SegmentMap]]

    def describe(self, places: Sequence[int]) -> object:
        taken = [self.images[place] for place in places]
        maps = [self.root / row.map for name, _ in taken for row in self.rows[name]]
        return {
            "source": "vista",
            "options": self.options.described,
            "table": content_hash(self.table),
            "images": [[name, file.stat().st_size] for name, file in taken],
            "maps": [content_hash(file) if file.is_file() else None for file in maps],
        }

    def read(self, place: int) -> Sample:
        name, file = self.images[place]
        image = open_image(file)
        gazes = []
        for row in self.rows[name]:
            values, done = read_map(self.root / row.map, image.size, self.options.resize)
            gazes.append(
                Gaze(
                    segment=row.segment,
                    size=image.size,
                    provenance="human",
                    map=values,
                    observer=row.observer,
                    settings=done,
                )
            )
        return Sample(
            id=name,
            image=image,
            captions=texts_of(gazes),
            attention=tuple(gazes),
            meta={"source": "vista", "file_name": file.name, "dropped": 0, "notes": ()},
        )
