"""Folders in COCO's format: instances JSON, images, and optional questions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image

from ..errors import InputError
from ._about import about_by_name
from ._box import outer_box
from ._image import open_sized
from ._lazy import LazySamples, content_hash, existing_folder, read_json
from ._sample import Object, Question, Sample
from ._segmentation import decode_segmentation

Entry: TypeAlias = Mapping[str, object]


def coco(
    folder: str | Path,
    *,
    annotations: str | Path | None = None,
    images: str | Path | None = None,
    questions: str | Path | None = None,
    crowds: bool = False,
    skip_missing: bool = False,
) -> LazySamples:
    """Samples of a folder in COCO's format, in the order of its instances file.

    A sample's id is the image's id as text. Objects follow the annotations. Masks are rasterised
    when a sample is asked for. Images are taken upright (EXIF), or as stored where only that has
    the size that the annotations give. `meta` has "file_name", "crowds" (names of crowd regions
    that were left out; `ignore` covers them) and "unseen" (ids of annotations that cover no pixel's
    centre, left out).

    Questions are a list of objects with "question", "answer", "image_id" or "file_name", and
    optionally "kind" and "about" (indices among the image's annotations). Where "about" is missing,
    it is the one object that the answer names, or else the one that the question names; with
    several of that name, none.

    Args:
        folder: holds `annotations/instances*.json`, and the images in `images/`, in a folder named
            as the split (`val2017/`), in `images/val2017/`, or directly.
        annotations: the instances file, where there are several; relative to `folder`, or absolute.
        images: the folder of images, likewise.
        questions: a JSON file, likewise; `questions.json` is read if it exists.
        crowds: keep crowd regions as objects.
        skip_missing: leave out images whose file does not exist, rather than refuse.

    Raises:
        InputError: a missing file or folder, a file of another format, an annotation or a question
            about an unknown image or category; on access, an unreadable image or one of another
            size than its annotations say, or an impossible segmentation.
        MissingExtraError: on access, compressed run lengths without pycocotools.
    """
    root = existing_folder(folder, "a folder in COCO's format")
    instances = _instances_file(root, annotations)
    content = _Instances.of(instances)
    asked = _questions_file(root, questions)
    pictures = _images_folder(root, instances, images, content.images)
    source = _Coco(
        instances=instances,
        questions_file=asked,
        folder=pictures,
        content=content,
        images=_present(content.images, pictures, instances, skip_missing),
        questions={} if asked is None else _questions(asked, content.images),
        crowds=crowds,
    )
    places = range(len(source.images))
    names = tuple(dict.fromkeys(content.names.values()))
    return LazySamples(f"coco:{root}", source.read, source.describe, places, names)


@dataclass(frozen=True)
class _Instances:
    """An instances file, checked: every annotation's image and category exist."""

    images: list[Entry]
    by_image: Mapping[object, list[Entry]]
    names: Mapping[object, str]

    @classmethod
    def of(cls, file: Path) -> _Instances:
        content = read_json(file)
        parts = ("images", "annotations", "categories")
        if not isinstance(content, dict) or not all(
            isinstance(content.get(part), list) for part in parts
        ):
            raise InputError(
                f"{file}: expected COCO instances with the lists images, annotations and "
                "categories, got another structure"
            )
        images = [
            _checked(entry, ("id", "file_name", "width", "height"), file, "image")
            for entry in content["images"]
        ]
        if not images:
            raise InputError(f"{file}: expected at least one image, got none: give other data")
        known = {entry["id"] for entry in images}
        if len(known) != len(images):
            raise InputError(f"{file}: expected images with different ids, got one id twice")
        names = {
            entry["id"]: str(entry["name"])
            for entry in (
                _checked(e, ("id", "name"), file, "category") for e in content["categories"]
            )
        }
        by_image: dict[object, list[Entry]] = defaultdict(list)
        for entry in content["annotations"]:
            needed = ("image_id", "category_id", "segmentation")
            one = _checked(entry, needed, file, "annotation")
            where = f"{file}: annotation {one.get('id')}"
            if one["image_id"] not in known:
                raise InputError(
                    f"{where}: expected one of the file's images, got image {one['image_id']!r}"
                )
            if one["category_id"] not in names:
                raise InputError(
                    f"{where}: expected one of the file's categories, got category "
                    f"{one['category_id']!r}"
                )
            by_image[one["image_id"]].append(one)
        return cls(images, by_image, names)


@dataclass(frozen=True)
class _Coco:
    """What `LazySamples` reads from."""

    instances: Path
    questions_file: Path | None
    folder: Path
    content: _Instances
    images: Sequence[Entry]
    questions: Mapping[object, list[Entry]]
    crowds: bool

    def describe(self, places: Sequence[int]) -> object:
        chosen = [self.images[place] for place in places]
        return {
            "source": "coco",
            "annotations": content_hash(self.instances),
            "questions": content_hash(self.questions_file),
            "crowds": self.crowds,
            "images": [
                [str(entry["file_name"]), self._file(entry).stat().st_size] for entry in chosen
            ],
        }

    def read(self, place: int) -> Sample:
        entry = self.images[place]
        image = self._image(entry)
        objects: list[Object] = []
        index_of: dict[int, int] = {}
        crowds: list[str] = []
        unseen: list[object] = []
        ignore: np.ndarray | None = None
        for number, found in enumerate(self.content.by_image.get(entry["id"], ())):
            name = self.content.names[found["category_id"]]
            if found.get("iscrowd") and not self.crowds:
                crowds.append(name)
                region = self._mask(found, image)
                ignore = region if ignore is None else ignore | region
                continue
            mask = self._mask(found, image)
            if not mask.any():
                unseen.append(found.get("id"))
                continue
            index_of[number] = len(objects)
            polygons = _polygons(found["segmentation"])
            objects.append(Object(name, mask, _box(found, mask), polygons=polygons))
        return Sample(
            id=str(entry["id"]),
            image=image,
            objects=tuple(objects),
            questions=tuple(
                _question(asked, objects, index_of) for asked in self.questions.get(entry["id"], ())
            ),
            meta={
                "source": "coco",
                "file_name": entry["file_name"],
                "crowds": tuple(crowds),
                "unseen": tuple(unseen),
            },
            ignore=ignore,
        )

    def _file(self, entry: Entry) -> Path:
        return self.folder / str(entry["file_name"])

    def _image(self, entry: Entry) -> Image.Image:
        size = (entry["width"], entry["height"])
        return open_sized(self._file(entry), size, self.instances.name)  # type: ignore[arg-type]

    def _mask(self, found: Entry, image: Image.Image) -> np.ndarray:
        try:
            return decode_segmentation(found["segmentation"], image.height, image.width)  # type: ignore[arg-type]
        except InputError as error:
            raise InputError(f"{self.instances}: annotation {found.get('id')}: {error}") from error


def _instances_file(root: Path, given: str | Path | None) -> Path:
    if given is not None:
        file = root / given
        if not file.is_file():
            raise InputError(f"{file}: expected an instances file, got nothing there")
        return file
    found = sorted((root / "annotations").glob("instances*.json"))
    if not found:
        raise InputError(
            f"{root}: expected annotations/instances*.json, got none: COCO's annotations are "
            "unpacked into the folder annotations; for a folder of plain images use folder:PATH"
        )
    if len(found) > 1:
        raise InputError(
            f"{root / 'annotations'}: expected one instances file, got "
            f"{', '.join(file.name for file in found)}: name one, as coco:{found[0]} or "
            "rs.data.coco(folder, annotations=...)"
        )
    return found[0]


def _images_folder(
    root: Path, instances: Path, given: str | Path | None, images: Iterable[Entry]
) -> Path:
    if given is not None:
        return existing_folder(root / given, "the folder of images")
    split = instances.stem.removeprefix("instances").strip("_-")
    names = [str(entry["file_name"]) for entry in images]
    folders = [root / split, root / "images" / split, root / "images", root]
    for folder in dict.fromkeys(folders):
        if folder.is_dir() and any((folder / name).is_file() for name in names):
            return folder
    looked = ", ".join(str(folder) for folder in dict.fromkeys(folders))
    raise InputError(
        f"{instances}: expected its images (the first is {names[0]}) in one of {looked}, got none "
        "there: fetch them, or name their folder as rs.data.coco(folder, images=...)"
    )


def _present(
    images: Sequence[Entry], folder: Path, instances: Path, skip_missing: bool
) -> Sequence[Entry]:
    there = [entry for entry in images if (folder / str(entry["file_name"])).is_file()]
    if len(there) == len(images) or (skip_missing and there):
        return there
    found = {entry["file_name"] for entry in there}
    lost = next(entry["file_name"] for entry in images if entry["file_name"] not in found)
    raise InputError(
        f"{folder / str(lost)}: no such image, and {len(images) - len(there)} of the "
        f"{len(images)} images of {instances.name} are missing: fetch them, or pass "
        "skip_missing=True to go without"
    )


def _questions_file(root: Path, given: str | Path | None) -> Path | None:
    file = root / (given or "questions.json")
    if file.is_file():
        return file
    if given is not None:
        raise InputError(f"{file}: expected a JSON file of questions, got nothing there")
    return None


def _questions(file: Path, images: Iterable[Entry]) -> dict[object, list[Entry]]:
    content = read_json(file)
    if not isinstance(content, list):
        raise InputError(f"{file}: expected a list of questions, got a {type(content).__name__}")
    ids = {entry["id"]: entry["id"] for entry in images}
    by_name = {entry["file_name"]: entry["id"] for entry in images}
    by_image: dict[object, list[Entry]] = defaultdict(list)
    for number, entry in enumerate(content, start=1):
        one = _checked(entry, ("question", "answer"), file, "question")
        image = ids.get(one.get("image_id"), by_name.get(one.get("file_name")))
        if image is None:
            raise InputError(
                f"{file}: question {number}: expected the image_id or file_name of an image in the "
                f"instances, got {one.get('image_id', one.get('file_name'))!r}"
            )
        by_image[image].append(one)
    return by_image


def _question(asked: Entry, objects: Sequence[Object], index_of: Mapping[int, int]) -> Question:
    question, answer = str(asked["question"]), str(asked["answer"])
    kind = str(asked.get("kind", "question"))
    given = asked.get("about")
    if given is None:
        about = about_by_name(question, answer, kind, [obj.name for obj in objects])
    elif isinstance(given, Sequence) and all(isinstance(place, int) for place in given):
        # An annotation that is left out carries nothing.
        about = tuple(index_of[place] for place in given if place in index_of)
    else:
        raise InputError(f"question {question!r}: expected 'about' as a list of indices")
    return Question(question, answer, kind, about)


def _box(found: Entry, mask: np.ndarray) -> tuple[float, float, float, float]:
    box = found.get("bbox")
    if isinstance(box, Sequence) and len(box) == 4:
        x, y, width, height = (float(value) for value in box)
        return x, y, x + width, y + height
    return outer_box(mask)


def _polygons(segmentation: object) -> tuple[tuple[float, ...], ...]:
    """Empty of run lengths."""
    if isinstance(segmentation, Mapping) or not isinstance(segmentation, Sequence):
        return ()
    return tuple(tuple(float(value) for value in polygon) for polygon in segmentation)


def _checked(entry: object, needed: Iterable[str], file: Path, what: str) -> Entry:
    if not isinstance(entry, dict) or any(key not in entry for key in needed):
        keys = sorted(entry) if isinstance(entry, dict) else type(entry).__name__
        raise InputError(
            f"{file}: expected every {what} to have {', '.join(needed)}, got one with {keys}"
        )
    for key in ("id", "image_id", "category_id", "file_name"):
        if not isinstance(entry.get(key, 0), int | str):
            raise InputError(
                f"{file}: expected {key!r} of every {what} as a number or a text, got "
                f"{entry[key]!r}"
            )
    return entry
