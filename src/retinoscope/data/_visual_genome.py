"""Visual Genome: objects with boxes, attributes, relations, and questions."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from ..errors import InputError
from ._about import about_by_name
from ._box import Box, box_mask, cut_box
from ._image import open_sized
from ._index import JsonIndex
from ._lazy import LazySamples, content_hash, existing_folder, read_json
from ._sample import Object, Question, Relation, Sample

Entry: TypeAlias = Mapping[str, object]

COLORS = (
    "black", "blue", "brown", "gray", "green", "orange", "pink", "purple", "red", "white", "yellow",
)  # fmt: skip
"""Attributes that are colours (the eleven basic ones; "grey" is read as "gray")."""
OPTIONAL = ("attributes", "relationships", "question_answers")
_FOLDERS = ("VG_100K", "VG_100K_2", "images", ".")
_COLOR_QUESTION = re.compile(r"\bwhat colou?r\b", re.IGNORECASE)


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
    pixel's centre, left out) and "unmatched" (number of relations left out, because Visual Genome
    does not list one of their objects, or it is unseen).

    Memory and time: the JSON files are read through once, without being kept; about 1 kB per image
    stays. A sample reads its own entries.

    Args:
        folder: see above.
        images: the folder of images; relative to `folder`, or absolute.
        skip_missing: leave out images whose file does not exist, rather than refuse.

    Raises:
        InputError: a missing file or folder, a file of another format, missing images; on access,
            an unreadable image or one of another size than `image_data.json` says.

    Source: Krishna et al. 2017 (arXiv 1602.07332).
    """
    root = existing_folder(folder, "a folder with Visual Genome's files")
    for name in ("image_data", "objects"):
        if not (root / f"{name}.json").is_file():
            raise InputError(
                f"{root}: expected Visual Genome's image_data.json and objects.json, got no "
                f"{name}.json: unpack them there"
            )
    listed = _images(root / "image_data.json")
    found = _files(root, images)
    pictures = tuple(one for one in listed if one.name in found)
    if not pictures or (len(pictures) < len(listed) and not skip_missing):
        lost = next(one.name for one in listed if one.name not in found)
        looked = root / images if images is not None else f"VG_100K, VG_100K_2, images or {root}"
        raise InputError(
            f"{root}: no {lost} in {looked}, and {len(listed) - len(pictures)} of the "
            f"{len(listed)} images of image_data.json are missing: fetch them, or pass "
            "skip_missing=True to go without"
        )
    parts = {
        name: JsonIndex.of(root / f"{name}.json", _image_id)
        for name in ("objects", *OPTIONAL)
        if (root / f"{name}.json").is_file()
    }
    source = _VisualGenome(root / "image_data.json", pictures, found, parts)
    return LazySamples(f"vg:{root}", source.read, source.describe, range(len(pictures)))


@dataclass(frozen=True, slots=True)
class _Picture:
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
    pictures: Sequence[_Picture]
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
        known = _Objects(size)
        for entry in self._entries("objects", picture.id, "objects"):
            known.add(entry, self._where("objects", picture.id))
        for entry in self._entries("attributes", picture.id, "attributes"):
            known.colour(entry)
        relations, unmatched = known.relations(
            self._entries("relationships", picture.id, "relationships")
        )
        objects = known.objects()
        return Sample(
            id=str(picture.id),
            image=image,
            objects=objects,
            questions=tuple(
                known.question(entry, objects, self._where("question_answers", picture.id))
                for entry in self._entries("question_answers", picture.id, "qas")
            ),
            relations=relations,
            meta={
                "source": "vg",
                "file_name": picture.name,
                "synsets": tuple(known.synsets),
                "unseen": tuple(known.unseen),
                "unmatched": unmatched,
            },
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


class _Objects:
    """The objects of one image, and their indices by Visual Genome's ids."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self.synsets: list[tuple[str, ...]] = []
        self.unseen: list[object] = []
        self._index: dict[object, int] = {}
        self._found: list[tuple[str, Box]] = []
        self._attributes: list[list[object]] = []

    def add(self, entry: Entry, where: str) -> None:
        name, box = _name(entry), _box(entry)
        if name is None or box is None:
            raise InputError(
                f"{where}: expected every object with names, x, y, w and h, got one with the keys "
                f"{', '.join(sorted(entry))}"
            )
        if not box_mask(box, *self.size).any():
            self.unseen.append(entry.get("object_id"))
            return
        for number in (entry.get("object_id"), *_listed(entry.get("merged_object_ids"))):
            self._index[number] = len(self._found)
        self._found.append((name, cut_box(box, *self.size)))
        self._attributes.append(_listed(entry.get("attributes")))
        self.synsets.append(tuple(str(one) for one in _listed(entry.get("synsets"))))

    def colour(self, entry: Entry) -> None:
        """Takes in an entry of attributes.json."""
        index = self._index.get(entry.get("object_id"))
        if index is not None:
            self._attributes[index] += _listed(entry.get("attributes"))

    def objects(self) -> tuple[Object, ...]:
        return tuple(
            Object(name, box_mask(box, *self.size), box, _color(attributes), boxed=True)
            for (name, box), attributes in zip(self._found, self._attributes, strict=True)
        )

    def relations(self, entries: Iterable[Entry]) -> tuple[tuple[Relation, ...], int]:
        """The relations, and how many have an end that is not among the objects."""
        found, unmatched = [], 0
        for entry in entries:
            subject, other = self._one(entry.get("subject")), self._one(entry.get("object"))
            if subject is None or other is None:
                unmatched += 1
                continue
            found.append(Relation(subject, str(entry.get("predicate", "")).strip().lower(), other))
        return tuple(found), unmatched

    def question(self, entry: Entry, objects: Sequence[Object], where: str) -> Question:
        asked, answer = entry.get("question"), entry.get("answer")
        if not isinstance(asked, str) or not isinstance(answer, str):
            raise InputError(
                f"{where}: expected every question with question and answer, got one with the keys "
                f"{', '.join(sorted(entry))}"
            )
        answer = answer.strip().removesuffix(".")
        kind = _kind(asked, answer)
        about = self._linked(entry.get("a_objects"))
        if not about:
            about = self._linked(entry.get("q_objects"))
            if len(about) != 1:
                about = about_by_name(asked, answer, kind, [obj.name for obj in objects])
        return Question(asked.strip(), answer, kind, about)

    def _one(self, end: object) -> int | None:
        return self._index.get(end.get("object_id")) if isinstance(end, dict) else None

    def _linked(self, linked: object) -> tuple[int, ...]:
        places = (self._one(one) for one in _listed(linked))
        return tuple(dict.fromkeys(place for place in places if place is not None))


def _images(file: Path) -> list[_Picture]:
    content = read_json(file)
    if not isinstance(content, list) or not content:
        raise InputError(f"{file}: expected a list of images, got something else or an empty one")
    pictures = []
    for entry in content:
        values = [
            entry.get(key) if isinstance(entry, dict) else None
            for key in ("image_id", "width", "height")
        ]
        if not all(isinstance(value, int) for value in values):
            raise InputError(
                f"{file}: expected every image with image_id, width and height as whole numbers, "
                f"got {str(entry)[:80]}"
            )
        pictures.append(_Picture(*values))  # type: ignore[arg-type]
    if len({one.id for one in pictures}) < len(pictures):
        raise InputError(f"{file}: expected images with different ids, got one id twice")
    return pictures


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


def _name(entry: Entry) -> str | None:
    names = _listed(entry.get("names")) or [entry.get("name")]
    name = names[0]
    return name.strip().lower() if isinstance(name, str) and name.strip() else None


def _box(entry: Entry) -> Box | None:
    values = [entry.get(key) for key in ("x", "y", "w", "h")]
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
        return None
    x, y, width, height = (float(value) for value in values)  # type: ignore[arg-type]
    return x, y, x + width, y + height


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
