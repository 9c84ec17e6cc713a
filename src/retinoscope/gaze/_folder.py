"""Folders of images with fixations or maps, as SALICON, MIT1003 and CAT2000 come."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import data
from ..data import GRANULARITIES, Gaze, Sample, Segment
from ..data.images import open_image
from ..data.lazy import LazySamples, content_hash, existing_folder
from ..data.schema import inside as inside_folder
from ..data.tabular import find_rows, read_rows
from ..errors import InputError
from ._mat import read_mat
from ._options import SETTINGS, GazeOptions, read_options
from ._pictures import IMAGES, chosen, image_named, images_below, read_map
from ._segments import segment_of
from ._viewport import Viewport, inside
from ._vista import images_of, texts_of, whole_number

IMAGE_FOLDERS = ("images", "ALLSTIMULI", "Stimuli")
MAP_FOLDERS = ("maps", "ALLFIXATIONMAPS", "FIXATIONMAPS")
FIXATION_FOLDERS = ("fixations", "FIXATIONLOCS")
_MAP_ENDINGS = ("", "_fixMap", "_map")
_POINTS = ("image", "x", "y")
_MORE = (*("start", "end", "duration", "observer", "text", "segment", "occurrence", "granularity"),)
_TEXTS = ("image", "text")
_FARTHEST = 1e9


def folder(path: str | Path, options: GazeOptions | None = None) -> LazySamples:
    """Samples of a folder of images with fixations or maps, one per image, with `attention`.

        images/a.jpg           or ALLSTIMULI/ (MIT1003), Stimuli/ (CAT2000), or the folder itself
        fixations.csv          (.jsonl, .parquet) a fixation a row: image, x, y and optionally
                               start, end or duration (seconds), observer (a number), text, segment
                               (a part of the text; all of it if empty), occurrence, granularity
        fixations/a.mat        or FIXATIONLOCS/: see `read_mat`; or a.csv, as above without image
        maps/a.png             or ALLFIXATIONMAPS/ (a_fixMap.jpg), FIXATIONMAPS/: grey-scale or .npy
        texts.csv              (.jsonl, .parquet) image, text: what was said or read of the image

    A map is of all observers: with it, all fixations of an image that are not of a part of a text
    stand in one `Gaze` without an observer, whose density is the map. To compare observers with
    each other, leave maps out. Positions are pixels of the image, unless `gaze.json`
    says where images were on the screen. Without a text, people looked freely and `Gaze.segment` is
    None.

    Args:
        options: in place of `gaze.json`, see `GazeOptions`.

    Raises:
        InputError: no folder, no images or nothing about them, a row about an unknown image, a
            segment that is not in its text; on access, what the files raise.

    Source: Jiang et al. 2015 (SALICON), Judd et al. 2009 (MIT1003), Borji and Itti 2015 (CAT2000).
    """
    root = existing_folder(path, "a folder of images and fixations")
    settings = read_options(root) if options is None else options
    images = images_of(root, settings, IMAGE_FOLDERS)
    listed: dict[str, list[_Fixations]] = {}
    table = find_rows(root, "fixations")
    if table is not None:
        for where, values in read_rows(table, _POINTS, _MORE):
            name = _image(where, values, images)
            listed.setdefault(name, []).append(_fixation(where, values))
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
    taken = chosen(known, settings.subset, str(root))
    source = _Folder(root, settings, table, tuple(taken.items()), listed, files, maps, texts)
    return LazySamples(f"gaze:{root}", source.read, source.describe, range(len(taken)))


@dataclass(frozen=True)
class _Fixations:
    """Some of one observer; `seconds` of each, None where they are not known."""

    points: Sequence[Sequence[float]]
    seconds: float | None
    observer: int | None
    segment: Segment | None


@dataclass(frozen=True)
class _Group:
    """All fixations of one observer and segment."""

    points: list[Sequence[float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, more: _Fixations) -> None:
        self.points.extend(more.points)
        if more.seconds is not None:
            self.seconds.extend([more.seconds] * len(more.points))


def _image(where: str, values: Mapping[str, Any], images: Mapping[str, Path]) -> str:
    told = str(values.get("image") or "")
    name = image_named(told, images)
    if name is None:
        raise InputError(f"{where}: expected the name of an image, got {told!r}")
    return name


def _fixation(where: str, values: Mapping[str, Any]) -> _Fixations:
    x, y = (_number(values.get(name), name, where) for name in ("x", "y"))
    if x is None or y is None:
        raise InputError(f"{where}: expected x and y as numbers, got {values.get('x')!r}")
    start, end, seconds = (
        _number(values.get(name), name, where) for name in ("start", "end", "duration")
    )
    if start is not None and end is not None:
        if end < start:
            raise InputError(f"{where}: ends at {end:g} s, before it begins at {start:g} s")
        seconds = end - start
    if seconds is not None and seconds < 0:
        raise InputError(f"{where}: expected a duration from 0 up, got {seconds:g}")
    text, segment = (values.get(name) or None for name in ("text", "segment"))
    granularity = values.get("granularity") or None
    if granularity is not None and granularity not in GRANULARITIES:
        raise InputError(f"{where}: expected granularity among {', '.join(GRANULARITIES)}")
    if segment is not None and text is None:
        raise InputError(f"{where}: expected the text of the segment {segment!r}, got none")
    try:
        return _Fixations(
            [(x, y)],
            seconds,
            whole_number(values.get("observer"), "observer"),
            None
            if text is None
            else segment_of(
                str(text),
                str(segment or text),
                granularity,
                whole_number(values.get("occurrence"), "occurrence") or 0,
            ),
        )
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _number(value: Any, name: str, where: str) -> float | None:
    if value is None or value == "":
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not abs(number) <= _FARTHEST:
        raise InputError(f"{where}: expected {name} as a number, got {value!r}")
    return number


def _texts(root: Path, images: Mapping[str, Path]) -> dict[str, tuple[str, ...]]:
    table = find_rows(root, "texts")
    found: dict[str, tuple[str, ...]] = {}
    for where, values in [] if table is None else read_rows(table, _TEXTS, ()):
        if not str(values.get("text") or "").strip():
            raise InputError(f"{where}: expected a text, got none")
        name = _image(where, values, images)
        found[name] = (*found.get(name, ()), str(values["text"]))
    return found


def _files(
    root: Path,
    told: str | None,
    names: Sequence[str],
    images: Mapping[str, Path],
    endings: Sequence[str],
    suffixes: set[str],
) -> dict[str, Path]:
    """Files about images, by the image's name."""
    if told is not None:
        place = existing_folder(root / inside_folder(told, str(root / SETTINGS)), "such a folder")
    else:
        place = next((root / name for name in names if (root / name).is_dir()), None)
    if place is None:
        return {}
    found: dict[str, Path] = {}
    for file in sorted(place.rglob("*")):
        stem = file.relative_to(place).with_suffix("").as_posix()
        for ending in endings:
            name = stem.removesuffix(ending) if ending else stem
            if file.suffix.lower() in suffixes and name in images and stem == name + ending:
                if name in found:
                    raise InputError(
                        f"{place}: expected one file about {name}, got {found[name].name} and "
                        f"{file.name}"
                    )
                found[name] = file
    return found


@dataclass(frozen=True)
class _Folder:
    root: Path
    options: GazeOptions
    table: Path | None
    images: tuple[tuple[str, Path], ...]
    listed: Mapping[str, Sequence[_Fixations]]
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
        groups: dict[tuple[Segment | None, int | None], _Group] = {}
        for one in self._of(name, image.size):
            for segment in (one.segment,) if one.segment else whole:
                groups.setdefault((segment, one.observer), _Group()).add(one)
        gazes = [
            _gaze(group, segment, observer, viewport, image.size, self.options)
            for (segment, observer), group in groups.items()
        ]
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
                "dropped": sum(one.dropped for one in gazes),
                "notes": (),
            },
        )

    def _of(self, name: str, size: tuple[int, int]) -> Iterator[_Fixations]:
        """All that is known of an image's fixations."""
        yield from self.listed.get(name, ())
        file = self.files.get(name)
        if file is not None and file.suffix.lower() == ".mat":
            for observer, points in read_mat(file, size):
                yield _Fixations(points.tolist(), None, observer, None)
        elif file is not None:
            for where, values in read_rows(file, _POINTS[1:], _MORE):
                yield _fixation(where, values)

    def _with_map(
        self,
        name: str,
        size: tuple[int, int],
        gazes: list[Gaze],
        whole: Sequence[Segment | None],
    ) -> list[Gaze]:
        """The map is of all observers: it joins their fixations, or stands by itself."""
        values, done = read_map(self.maps[name], size, self.options.resize)
        held = [one for one in gazes if one.segment in whole]
        rest = [one for one in gazes if one.segment not in whole]
        joined = []
        for segment in whole:
            own = [one for one in held if one.segment == segment]
            joined.append(
                Gaze(
                    segment=segment,
                    size=size,
                    provenance="human",
                    fixations=np.concatenate([np.zeros((0, 2)), *(one.fixations for one in own)]),
                    durations=np.concatenate([np.zeros(0), *(one.durations for one in own)]),
                    map=values,
                    dropped=sum(one.dropped for one in own),
                    settings=done,
                )
            )
        return [*joined, *rest]


def _gaze(
    group: _Group,
    segment: Segment | None,
    observer: int | None,
    viewport: Viewport,
    size: tuple[int, int],
    options: GazeOptions,
) -> Gaze:
    points = viewport.to_image(np.array(group.points).reshape(-1, 2))
    here = inside(points, size)
    # Without times, each fixation counts the same; with some, one of unknown length cannot.
    timed = bool(group.seconds)
    if timed and len(group.seconds) < len(group.points):
        raise InputError(
            f"expected durations of all fixations or of none, got {len(group.seconds)} of "
            f"{len(group.points)}"
        )
    seconds = np.array(group.seconds) if timed else np.ones(len(group.points))
    return Gaze(
        segment=segment,
        size=size,
        provenance="human",
        fixations=points[here],
        durations=seconds[here],
        observer=observer,
        dropped=int((~here).sum()),
        settings={"bandwidth": options.kernel(size), "timed": timed},
    )


def described(path: str | Path) -> list[Sample]:
    """Images directly in a folder, each with the descriptions that `texts.csv` (.jsonl, .parquet)
    in it has of it: columns image and text.

    Raises:
        InputError: no folder, no images in it, or a text of no image.
    """
    root = existing_folder(path, "a folder of images")
    texts = _texts(root, images_below(root, deep=False))
    images = data.folder(root)
    return [replace(one, captions=texts.get(Path(one.id).stem, ())) for one in images]
