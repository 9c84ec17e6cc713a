"""COCO's instances file, checked: types, ranges, and ids that are there once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict

from ..errors import InputError
from .schema import (
    STRICT,
    Coordinate,
    FileName,
    Flag,
    Id,
    Index,
    Length,
    Name,
    Side,
    entries,
    inside,
    listed,
    read_json,
    uncollected,
    unique,
)

BBox = Annotated[tuple[Coordinate, Coordinate, Length, Length], Field(strict=False)]
"""x, y, width, height in pixels; a list in JSON."""


@with_config(STRICT)
class CocoImage(TypedDict):
    """An image of an instances file."""

    id: Id
    file_name: FileName
    width: Side
    height: Side


@with_config(STRICT)
class CocoAnnotation(TypedDict):
    """An annotation; `segmentation` is checked when its mask is made, for it is most of a file."""

    id: NotRequired[Id | None]
    image_id: Id
    category_id: Id
    segmentation: NotRequired[list[Any] | dict[str, Any] | None]
    bbox: NotRequired[BBox | None]
    area: NotRequired[Annotated[float, Field(ge=0, allow_inf_nan=False)] | None]
    iscrowd: NotRequired[Flag]


@with_config(STRICT)
class CocoCategory(TypedDict):
    """A category."""

    id: Id
    name: Name


@with_config(STRICT)
class CocoQuestion(TypedDict):
    """An entry of `questions.json`."""

    question: Name
    answer: Name
    image_id: NotRequired[Id | None]
    file_name: NotRequired[str | None]
    kind: NotRequired[Name | None]
    about: NotRequired[Annotated[list[Index], Field(max_length=10_000)] | None]


_IMAGES = listed(CocoImage)
_ANNOTATIONS = listed(CocoAnnotation)
_CATEGORIES = listed(CocoCategory)
_QUESTIONS = listed(CocoQuestion)


@dataclass(frozen=True)
class Instances:
    """An instances file: every annotation's image and category exist, once."""

    images: Sequence[CocoImage]
    by_image: Mapping[int | str, Sequence[CocoAnnotation]]
    names: Mapping[int | str, str]

    @classmethod
    @uncollected()
    def of(cls, file: Path, *, outside: bool) -> Instances:
        """The content of `file`.

        Raises:
            InputError: another structure; a field of another type or out of its range; an id that
                is there twice; an image or category that is not there; a file outside the folder.
        """
        content = read_json(file)
        parts = ("images", "annotations", "categories")
        if not isinstance(content, dict) or not all(
            isinstance(content.get(part), list) for part in parts
        ):
            raise InputError(
                f"{file}: expected COCO instances with the lists images, annotations and "
                "categories, got another structure"
            )
        where = str(file)
        images = entries(_IMAGES, content["images"], where, "image")
        if not images:
            raise InputError(f"{file}: expected at least one image, got none: give other data")
        categories = entries(_CATEGORIES, content["categories"], where, "category")
        # Taken out, so that what is not used can be freed.
        annotations = entries(_ANNOTATIONS, content.pop("annotations"), where, "annotation")
        unique((one["id"] for one in images), where, "image")
        unique((one["id"] for one in categories), where, "category")
        unique((i for one in annotations if (i := one.get("id")) is not None), where, "annotation")
        for one in images:
            inside(one["file_name"], f"{file}: image {one['id']}", outside=outside)
        names = {one["id"]: one["name"] for one in categories}
        return cls(images, _by_image(annotations, images, names, file), names)


def _by_image(
    annotations: Sequence[CocoAnnotation],
    images: Sequence[CocoImage],
    names: Mapping[int | str, str],
    file: Path,
) -> Mapping[int | str, Sequence[CocoAnnotation]]:
    known = {one["id"] for one in images}
    by_image: dict[int | str, list[CocoAnnotation]] = defaultdict(list)
    for number, one in enumerate(annotations, start=1):
        image, category = one["image_id"], one["category_id"]
        if image not in known:
            raise InputError(
                f"{told(one, file, number)}: expected one of the file's images, got image {image!r}"
            )
        if category not in names:
            raise InputError(
                f"{told(one, file, number)}: expected one of the file's categories, got category "
                f"{category!r}"
            )
        if not one.get("segmentation") and one.get("bbox") is None:
            raise InputError(
                f"{told(one, file, number)}: expected a segmentation or a bbox, got neither"
            )
        by_image[image].append(one)
    return by_image


def told(one: CocoAnnotation, file: Path, number: int, of: str = "") -> str:
    """What to call an annotation in an error: by its id, or else by its number (from 1)."""
    ident = one.get("id")
    return f"{file}: annotation {f'number {number}{of}' if ident is None else ident}"


def read_questions(file: Path, content: Instances) -> Mapping[int | str, Sequence[CocoQuestion]]:
    """The questions of each image.

    Raises:
        InputError: a field of another type, an image that is not there, or a file name that
            several images have, an index of no annotation.
    """
    asked = entries(_QUESTIONS, read_json(file), str(file), "question")
    ids = {one["id"] for one in content.images}
    by_name: dict[str, list[int | str]] = defaultdict(list)
    for one in content.images:
        by_name[one["file_name"]].append(one["id"])
    by_image: dict[int | str, list[CocoQuestion]] = defaultdict(list)
    for number, one in enumerate(asked, start=1):
        given, name = one.get("image_id"), one.get("file_name")
        found = [given] if given in ids else by_name.get(name or "", [])
        if len(found) != 1 or found[0] is None:
            got = repr(name if given is None else given)
            many = f"{got}, which {len(found)} images have: give its image_id" if found else got
            raise InputError(
                f"{file}: question {number}: expected the image_id or file_name of an image in the "
                f"instances, got {many}"
            )
        there = len(content.by_image.get(found[0], ()))
        if any(place >= there for place in one.get("about") or ()):
            raise InputError(
                f"{file}: question {number}: field 'about': expected indices of the image's "
                f"{there} annotations, from 0, got {one.get('about')}"
            )
        by_image[found[0]].append(one)
    return by_image
