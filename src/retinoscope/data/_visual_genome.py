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
    """An object; a box of no width covers no pixel, as in the released file."""

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
    """A question and its answer; links to objects may be missing or lead nowhere."""

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
    `relationships.json` and `question_answers.json`, as they are released; the images `ID.jpg` in
    `VG_100K/`, `VG_100K_2/`, `images/` or directly.

    A sample's id is the image's id as text. Visual Genome gives boxes only: every `Object` has
    `boxed` True, and a mask of the pixels whose centre lies in its box. Names are the first of an
    object's names, in lower case; a colour is the one attribute among `COLORS`, None with several.
    Relations have Visual Genome's predicates in lower case.

    A question is of kind "color" where it asks for a colour and a colour answers it, "count" where
    it begins with "how many", else "question"; answers lose their full stop. It is about the
    objects that are linked to its answer; without such, the one linked to the question; without
    links, the one object that the answer names, or else the one that the question names.

    `meta` has "file_name", "synsets" (of each object), "unseen" (ids of objects whose box covers no
    pixel's centre, left out), "unmatched" (number of relations left out, because Visual Genome
    does not list one of their objects, or it is unseen, or two objects have its id) and "skipped"
    (objects and questions with a missing or impossible field, and objects whose box sticks out of
    the image by more than a hundredth of its longer side; these objects are `others`: there, and no
    background). Boxes that stick out by less are cut.

    Memory and time: the JSON files are read through once, without being kept; about 1 kB per image
    stays. A sample reads its own entries.

    Args:
        folder: see above.
        images: the folder of images; relative to `folder`, or absolute.
        skip_missing: leave out images whose file does not exist, rather than refuse.

    Raises:
        InputError: a missing file or folder, a file of another format, missing images; on access,
            an unreadable image or one of another size than `image_data.json` says, or an element
            that is no list of objects.

    Source: Krishna et al. 2017 (arXiv 1602.07332).
    """
    root = _root(folder)
    named = _images(root / "image_data.json")
    found = _files(root, images)
    pictures = tuple(one for one in named if one.name in found)
    if not pictures or (len(pictures) < len(named) and not skip_missing):
        raise _missing_images(root, images, named, found)
    parts = {
        name: JsonIndex.of(root / f"{name}.json", _image_id)
        for name in ("objects", *OPTIONAL)
        if (root / f"{name}.json").is_file()
    }
    source = _VisualGenome(root / "image_data.json", pictures, found, parts)
    missing = Skipped("images left out, for their file is missing", f"in {root}")
    return LazySamples(
        f"vg:{root}",
        source.read,
        source.describe,
        range(len(pictures)),
        skipped=(missing,) * (len(named) - len(pictures)),
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
    named: Sequence[_ImageEntry],
    found: Mapping[str, Path],
) -> InputError:
    lost = [one.name for one in named if one.name not in found]
    looked = root / images if images is not None else f"VG_100K, VG_100K_2, images or {root}"
    return InputError(
        f"{root}: no {lost[0]} in {looked}, and {len(lost)} of the {len(named)} images of "
        "image_data.json are missing: fetch them, or pass skip_missing=True to go without"
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
    """What `LazySamples` reads from. `folders` is by the name of an image."""

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
        for one in stored:
            known.add(one, self._where("objects", picture.id))
        for one in self._entries("attributes", picture.id, "attributes"):
            known.colour(one)
        relations, unmatched = known.relations(
            self._entries("relationships", picture.id, "relationships")
        )
        objects, where = known.objects(), self._where("question_answers", picture.id)
        questions = tuple(
            question
            for one in self._entries("question_answers", picture.id, "qas")
            if (question := known.question(one, objects, where)) is not None
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
        if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
            raise InputError(f"{self._where(part, image)}: expected a list of {key}, got others")
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
        # None for an id that two objects have: nobody can tell which is meant.
        self._index: dict[object, int | None] = {}
        self._found: list[tuple[str, Box]] = []
        self._attributes: list[list[object]] = []

    def add(self, stored: Entry, where: str) -> None:
        """Takes in an entry of objects.json; one that is damaged is left out and counted."""
        named = f"{where}: object {stored.get('object_id')}"
        there = None
        try:
            one = entry(_OBJECT, stored, named)
            name = (one.get("names") or [one.get("name")])[0]
            if name is None:
                raise InputError(f"{named}: expected names, got the fields {', '.join(stored)}")
            box = one["x"], one["y"], one["x"] + one["w"], one["y"] + one["h"]
            there = box_mask(box, *self.size)
            if there.any() and beyond(box, *self.size) > slack(*self.size):
                raise InputError(
                    f"{named}: fields x, y, w, h: expected a box in the image of {self.size[0]}x"
                    f"{self.size[1]} pixels, got {list(box)} (x0 y0 x1 y1)"
                )
        except InputError as error:
            self._leave_out(stored, there, str(error))
            return
        if not there.any():
            self.unseen.append(one.get("object_id"))
            return
        place = len(self._found)
        for number in (one.get("object_id"), *(one.get("merged_object_ids") or ())):
            if number is not None:
                known = self._index.get(number, place)
                self._index[number] = place if known == place else None
        self._found.append((name.lower(), cut_box(box, *self.size)))
        self._attributes.append([*(one.get("attributes") or ())])
        self.synsets.append(tuple(one.get("synsets") or ()))

    def _leave_out(self, stored: Entry, there: np.ndarray | None, why: str) -> None:
        """It is there and no background; without a box it may be anywhere."""
        region = np.ones(self.size[::-1], dtype=bool) if there is None else there
        name = str(next(iter(_listed(stored.get("names"))), "object")).lower()
        self.others.append(Object(name, region, outer_box(region), boxed=True))
        self.skipped.append(Skipped("objects left out, for their annotation is damaged", why))

    def colour(self, stored: Entry) -> None:
        """Takes in an entry of attributes.json."""
        index = self._one(stored)
        if index is not None:
            self._attributes[index] += _listed(stored.get("attributes"))

    def objects(self) -> tuple[Object, ...]:
        return tuple(
            Object(name, box_mask(box, *self.size), box, _color(attributes), boxed=True)
            for (name, box), attributes in zip(self._found, self._attributes, strict=True)
        )

    def relations(self, stored: Iterable[Entry]) -> tuple[tuple[Relation, ...], int]:
        """The relations, and how many have an end that is not among the objects."""
        found, unmatched = [], 0
        for one in stored:
            subject, other = self._one(one.get("subject")), self._one(one.get("object"))
            if subject is None or other is None:
                unmatched += 1
                continue
            found.append(Relation(subject, str(one.get("predicate", "")).strip().lower(), other))
        return tuple(found), unmatched

    def question(self, stored: Entry, objects: Sequence[Object], where: str) -> Question | None:
        """The question of an entry; None for one that is damaged, which is counted."""
        try:
            one = entry(_QUESTION, stored, f"{where}: question {stored.get('qa_id')}")
        except InputError as error:
            self.skipped.append(Skipped("questions left out, for they are damaged", str(error)))
            return None
        asked, answer = one["question"], one["answer"].removesuffix(".")
        kind = _kind(asked, answer)
        about = self._linked(one.get("a_objects"))
        if not about:
            about = self._linked(one.get("q_objects"))
            if len(about) != 1:
                about = about_by_name(asked, answer, kind, [obj.name for obj in objects])
        return Question(asked, answer, kind, about)

    def _one(self, end: object) -> int | None:
        number = end.get("object_id") if isinstance(end, dict) else None
        known = isinstance(number, int | str) and not isinstance(number, bool)
        return self._index.get(number) if known else None

    def _linked(self, linked: object) -> tuple[int, ...]:
        places = (self._one(one) for one in _listed(linked))
        return tuple(dict.fromkeys(place for place in places if place is not None))


def _images(file: Path) -> list[_ImageEntry]:
    listed_there = entries(_PICTURES, read_json(file), str(file), "image")
    if not listed_there:
        raise InputError(f"{file}: expected a list of images, got an empty one")
    unique((one["image_id"] for one in listed_there), str(file), "image")
    return [_ImageEntry(one["image_id"], one["width"], one["height"]) for one in listed_there]


def _files(root: Path, given: str | Path | None) -> dict[str, Path]:
    """The folder of each image."""
    if given is not None:
        folders = [existing_folder(root / given, "the folder of images")]
    else:
        folders = [root / name for name in _FOLDERS if (root / name).is_dir()]
    found: dict[str, Path] = {}
    for folder in folders:
        for name in os.listdir(folder):
            if name.endswith(".jpg"):
                found.setdefault(name, folder)
    return found


def _image_id(element: Entry) -> object:
    # The questions call it "id".
    return element.get("image_id", element.get("id"))


def _color(attributes: Iterable[object]) -> str | None:
    words = {str(one).strip().lower().replace("grey", "gray") for one in attributes}
    known = words & set(COLORS)
    return known.pop() if len(known) == 1 else None


def _kind(question: str, answer: str) -> str:
    if _COLOR_QUESTION.search(question) and _color([answer]):
        return "color"
    return "count" if question.strip().lower().startswith("how many") else "question"


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else []
