"""Visual Genome: objects with boxes, attributes, relations, and questions."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypeAlias

import numpy as np
from pydantic import Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from ..errors import InputError
from ._about import about_by_name
from ._box import Box, beyond, box_mask, cut_box, outer_box, slack
from ._index import JsonIndex
from ._mask import check_masks
from ._sample import Object, Question, Relation, Sample
from .images import open_sized
from .lazy import LazySamples, content_hash, existing_folder
from .schema import (
    STRICT,
    Coordinate,
    Id,
    Length,
    Name,
    Side,
    entries,
    entry,
    listed,
    read_json,
    unique,
)
from .skipped import SKIPPED, Skipped

Entry: TypeAlias = Mapping[str, object]

COLORS = (
    "black", "blue", "brown", "gray", "green", "orange", "pink", "purple", "red", "white", "yellow",
)  # fmt: skip
"""Attributes that are colours (the eleven basic ones; "grey" is read as "gray")."""
OPTIONAL = ("attributes", "relationships", "question_answers")
_FOLDERS = ("VG_100K", "VG_100K_2", "images", ".")
_COLOR_QUESTION = re.compile(r"\bwhat colou?r\b", re.IGNORECASE)


@with_config(STRICT)
class VGImage(TypedDict):
    """An entry of image_data.json."""

    image_id: Annotated[int, Field(ge=0, lt=2**63)]
    width: Side
    height: Side


@with_config(STRICT)
class VGObject(TypedDict):
    """An object; the released file has boxes without width, which cover no pixel."""

    object_id: NotRequired[Id | None]
    names: NotRequired[Annotated[list[Name], Field(min_length=1)] | None]
    name: NotRequired[Name | None]
    x: Coordinate
    y: Coordinate
    w: Length
    h: Length
    synsets: NotRequired[list[str] | None]
    merged_object_ids: NotRequired[list[Id] | None]
    attributes: NotRequired[list[str] | None]


@with_config(STRICT)
class VGQuestion(TypedDict):
    """A question and its answer; links to objects may be missing or broken."""

    question: Name
    answer: Name
    q_objects: NotRequired[list[Any] | None]
    a_objects: NotRequired[list[Any] | None]


_PICTURES = listed(VGImage)
_OBJECT = TypeAdapter(VGObject)
_QUESTION = TypeAdapter(VGQuestion)


def visual_genome(
    folder: str | Path, *, images: str | Path | None = None, skip_missing: bool = False
) -> LazySamples:
    """Samples of a folder with Visual Genome's files, in the order of `image_data.json`.

    The folder holds `image_data.json` and `objects.json`, and optionally `attributes.json`,
    `relationships.json` and `question_answers.json`, as released; the images `ID.jpg` lie in
    `VG_100K/`, `VG_100K_2/`, `images/` or directly in the folder.

    A sample's id is the image's id as text. Visual Genome only gives boxes: every `Object` has
    `boxed` True, and a mask of the pixels whose centre lies in its box. Its name is the first of
    the object's names, in lower case; its colour the one attribute among `COLORS`, None if there
    are several. Relations have Visual Genome's predicates in lower case.

    A question is of kind "color" if it asks for a colour and a colour answers it, "count" if it
    begins with "how many", else "question"; the final full stop of answers is removed. It is about
    the objects linked to its answer; else the one linked to the question; without links, the one
    object that the answer names, or else the one that the question names.

    `meta` has "file_name", "synsets" (of each object), "unseen" (ids of objects whose box covers no
    pixel centre, left out), "unmatched" (number of relations left out because one of their objects
    is not listed, is unseen, or shares its id with another) and "skipped" (objects and questions
    with a missing or impossible field, and objects whose box extends beyond the image by more than
    a hundredth of its longer side; these objects become `others`: present, but not background).
    Boxes that extend beyond the image by less are clipped.

    Memory and time: the JSON files are read through once, keeping about 1 kB per image. A sample
    reads its own entries.

    Args:
        folder: see above.
        images: the folder of images; relative to `folder`, or absolute.
        skip_missing: leave out images whose file does not exist, instead of refusing.

    Raises:
        InputError: a missing file or folder, a file of another format, missing images; on access,
            an unreadable image or one whose size differs from `image_data.json`, or an element that
            is not a list of objects.

    Source: Krishna et al. 2017 (arXiv 1602.07332).
    """
    root = _root(folder)
    listed_images = _images(root / "image_data.json")
    folders = _files(root, images)
    pictures = tuple(image for image in listed_images if image.name in folders)
    if not pictures or (len(pictures) < len(listed_images) and not skip_missing):
        raise _missing_images(root, images, listed_images, folders)
    parts = {
        name: JsonIndex.of(root / f"{name}.json", _image_id)
        for name in ("objects", *OPTIONAL)
        if (root / f"{name}.json").is_file()
    }
    source = _VisualGenome(root / "image_data.json", pictures, folders, parts)
    missing = Skipped("images left out because their file is missing", f"in {root}")
    return LazySamples(
        f"vg:{root}",
        source.read,
        source.describe,
        range(len(pictures)),
        skipped=(missing,) * (len(listed_images) - len(pictures)),
    )


def _root(folder: str | Path) -> Path:
    root = existing_folder(folder, "a folder with Visual Genome's files")
    for name in ("image_data", "objects"):
        if not (root / f"{name}.json").is_file():
            raise InputError(
                f"{root}: expected Visual Genome's image_data.json and objects.json, got no "
                f"{name}.json: unpack them there"
            )
    return root


def _missing_images(
    root: Path,
    images: str | Path | None,
    listed_images: Sequence[_ImageEntry],
    folders: Mapping[str, Path],
) -> InputError:
    missing = [image.name for image in listed_images if image.name not in folders]
    looked = root / images if images is not None else f"VG_100K, VG_100K_2, images or {root}"
    return InputError(
        f"{root}: no {missing[0]} in {looked}, and {len(missing)} of the {len(listed_images)} "
        "images of image_data.json are missing: fetch them, or pass skip_missing=True to leave "
        "them out"
    )


@dataclass(frozen=True, slots=True)
class _ImageEntry:
    id: int
    width: int
    height: int

    @property
    def name(self) -> str:
        return f"{self.id}.jpg"


@dataclass(frozen=True)
class _VisualGenome:
    """The source behind `LazySamples`. `folders` is by the name of an image."""

    image_data: Path
    pictures: Sequence[_ImageEntry]
    folders: Mapping[str, Path]
    parts: Mapping[str, JsonIndex]

    def describe(self, places: Sequence[int]) -> object:
        names = [self.pictures[place].name for place in places]
        return {
            "source": "vg",
            "image_data": content_hash(self.image_data),
            "parts": {name: part.sha256 for name, part in self.parts.items()},
            "images": [[name, (self.folders[name] / name).stat().st_size] for name in names],
        }

    def read(self, place: int) -> Sample:
        picture = self.pictures[place]
        file = self.folders[picture.name] / picture.name
        size = (picture.width, picture.height)
        image = open_sized(file, size, self.image_data.name)
        known = _ImageObjects(size)
        stored = self._entries("objects", picture.id, "objects")
        check_masks(len(stored), size, self._where("objects", picture.id))
        for item in stored:
            known.add(item, self._where("objects", picture.id))
        for item in self._entries("attributes", picture.id, "attributes"):
            known.add_attributes(item)
        relations, unmatched = known.relations(
            self._entries("relationships", picture.id, "relationships")
        )
        objects, where = known.objects(), self._where("question_answers", picture.id)
        questions = tuple(
            question
            for item in self._entries("question_answers", picture.id, "qas")
            if (question := known.question(item, objects, where)) is not None
        )
        return Sample(
            id=str(picture.id),
            image=image,
            objects=objects,
            questions=questions,
            relations=relations,
            meta={
                "source": "vg",
                "file_name": picture.name,
                "synsets": tuple(known.synsets),
                "unseen": tuple(known.unseen),
                "unmatched": unmatched,
                SKIPPED: tuple(known.skipped),
            },
            others=tuple(known.others),
        )

    def _entries(self, part: str, image: int, key: str) -> list[Entry]:
        if part not in self.parts:
            return []
        entries = self.parts[part].read(image).get(key, [])
        if not isinstance(entries, list) or not all(isinstance(item, dict) for item in entries):
            raise InputError(f"{self._where(part, image)}: expected a list of {key}")
        return entries

    def _where(self, part: str, image: int) -> str:
        return f"{part}.json: image {image}"


class _ImageObjects:
    """The objects of one image, and their indices by Visual Genome's ids."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self.synsets: list[tuple[str, ...]] = []
        self.unseen: list[object] = []
        self.skipped: list[Skipped] = []
        self.others: list[Object] = []
        # None for an id that two objects share, since either may be meant.
        self._index: dict[object, int | None] = {}
        self._found: list[tuple[str, Box]] = []
        self._attributes: list[list[object]] = []

    def add(self, stored: Entry, where: str) -> None:
        """Adds an entry of objects.json; a damaged one is left out and counted."""
        named = f"{where}: object {stored.get('object_id')}"
        mask = None
        try:
            fields = entry(_OBJECT, stored, named)
            name = (fields.get("names") or [fields.get("name")])[0]
            if name is None:
                raise InputError(f"{named}: expected names, got the fields {', '.join(stored)}")
            box = fields["x"], fields["y"], fields["x"] + fields["w"], fields["y"] + fields["h"]
            mask = box_mask(box, *self.size)
            if mask.any() and beyond(box, *self.size) > slack(*self.size):
                raise InputError(
                    f"{named}: fields x, y, w, h: expected a box in the image of {self.size[0]}x"
                    f"{self.size[1]} pixels, got {list(box)} (x0 y0 x1 y1)"
                )
        except InputError as error:
            self._leave_out(stored, mask, str(error))
            return
        if not mask.any():
            self.unseen.append(fields.get("object_id"))
            return
        index = len(self._found)
        for number in (fields.get("object_id"), *(fields.get("merged_object_ids") or ())):
            if number is not None:
                known = self._index.get(number, index)
                self._index[number] = index if known == index else None
        self._found.append((name.lower(), cut_box(box, *self.size)))
        self._attributes.append([*(fields.get("attributes") or ())])
        self.synsets.append(tuple(fields.get("synsets") or ()))

    def _leave_out(self, stored: Entry, mask: np.ndarray | None, why: str) -> None:
        """Keeps an object as present, so that it is not background; without a box, anywhere."""
        region = np.ones(self.size[::-1], dtype=bool) if mask is None else mask
        name = str(next(iter(_listed(stored.get("names"))), "object")).lower()
        self.others.append(Object(name, region, outer_box(region), boxed=True))
        self.skipped.append(Skipped("objects left out because their annotation is damaged", why))

    def add_attributes(self, stored: Entry) -> None:
        """Adds an entry of attributes.json."""
        index = self._index_of(stored)
        if index is not None:
            self._attributes[index] += _listed(stored.get("attributes"))

    def objects(self) -> tuple[Object, ...]:
        return tuple(
            Object(name, box_mask(box, *self.size), box, _color(attributes), boxed=True)
            for (name, box), attributes in zip(self._found, self._attributes, strict=True)
        )

    def relations(self, stored: Iterable[Entry]) -> tuple[tuple[Relation, ...], int]:
        """The relations, and the number of those with an end that is not among the objects."""
        relations, unmatched = [], 0
        for entry_ in stored:
            subject, other = (self._index_of(entry_.get(end)) for end in ("subject", "object"))
            if subject is None or other is None:
                unmatched += 1
                continue
            predicate = str(entry_.get("predicate", "")).strip().lower()
            relations.append(Relation(subject, predicate, other))
        return tuple(relations), unmatched

    def question(self, stored: Entry, objects: Sequence[Object], where: str) -> Question | None:
        """The question of an entry; None for a damaged one, which is counted."""
        try:
            fields = entry(_QUESTION, stored, f"{where}: question {stored.get('qa_id')}")
        except InputError as error:
            self.skipped.append(Skipped("questions left out because they are damaged", str(error)))
            return None
        asked, answer = fields["question"], fields["answer"].removesuffix(".")
        kind = _kind(asked, answer)
        about = self._linked(fields.get("a_objects"))
        if not about:
            about = self._linked(fields.get("q_objects"))
            if len(about) != 1:
                about = about_by_name(asked, answer, kind, [obj.name for obj in objects])
        return Question(asked, answer, kind, about)

    def _index_of(self, end: object) -> int | None:
        number = end.get("object_id") if isinstance(end, dict) else None
        known = isinstance(number, int | str) and not isinstance(number, bool)
        return self._index.get(number) if known else None

    def _linked(self, linked: object) -> tuple[int, ...]:
        indices = (self._index_of(end) for end in _listed(linked))
        return tuple(dict.fromkeys(index for index in indices if index is not None))


def _images(file: Path) -> list[_ImageEntry]:
    images = entries(_PICTURES, read_json(file), str(file), "image")
    if not images:
        raise InputError(f"{file}: expected a list of images, got an empty one")
    unique((image["image_id"] for image in images), str(file), "image")
    return [_ImageEntry(image["image_id"], image["width"], image["height"]) for image in images]


def _files(root: Path, given: str | Path | None) -> dict[str, Path]:
    """The folder of each image."""
    if given is not None:
        folders = [existing_folder(root / given, "the folder of images")]
    else:
        folders = [root / name for name in _FOLDERS if (root / name).is_dir()]
    folder_of: dict[str, Path] = {}
    for folder in folders:
        for name in os.listdir(folder):
            if name.endswith(".jpg"):
                folder_of.setdefault(name, folder)
    return folder_of


def _image_id(element: Entry) -> object:
    # Called "id" in the file of questions.
    return element.get("image_id", element.get("id"))


def _color(attributes: Iterable[object]) -> str | None:
    words = {str(word).strip().lower().replace("grey", "gray") for word in attributes}
    known = words & set(COLORS)
    return known.pop() if len(known) == 1 else None


def _kind(question: str, answer: str) -> str:
    if _COLOR_QUESTION.search(question) and _color([answer]):
        return "color"
    return "count" if question.strip().lower().startswith("how many") else "question"


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else []
