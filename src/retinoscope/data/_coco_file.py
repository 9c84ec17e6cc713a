"""COCO's instances file, with types, ranges and the uniqueness of ids checked."""

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
    """An annotation; `segmentation`, most of the file, is checked when its mask is made."""

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
    """An instances file in which the image and category of every annotation exist, once."""

    images: Sequence[CocoImage]
    by_image: Mapping[int | str, Sequence[CocoAnnotation]]
    names: Mapping[int | str, str]

    @classmethod
    @uncollected()
    def of(cls, file: Path, *, outside: bool) -> Instances:
        """Reads `file`.

        Raises:
            InputError: another structure; a field of the wrong type or out of range; a duplicate
                id; an unknown image or category; a file outside the folder.
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
        # Popped, so that unused parts can be freed.
        annotations = entries(_ANNOTATIONS, content.pop("annotations"), where, "annotation")
        unique((image["id"] for image in images), where, "image")
        unique((category["id"] for category in categories), where, "category")
        ids = (annotation.get("id") for annotation in annotations)
        unique((ident for ident in ids if ident is not None), where, "annotation")
        for image in images:
            inside(image["file_name"], f"{file}: image {image['id']}", outside=outside)
        names = {category["id"]: category["name"] for category in categories}
        return cls(images, _by_image(annotations, images, names, file), names)


def _by_image(
    annotations: Sequence[CocoAnnotation],
    images: Sequence[CocoImage],
    names: Mapping[int | str, str],
    file: Path,
) -> Mapping[int | str, Sequence[CocoAnnotation]]:
    known = {image["id"] for image in images}
    by_image: dict[int | str, list[CocoAnnotation]] = defaultdict(list)
    for number, annotation in enumerate(annotations, start=1):
        image, category = annotation["image_id"], annotation["category_id"]
        if image not in known:
            where = annotation_name(annotation, file, number)
            raise InputError(f"{where}: expected one of the file's images, got image {image!r}")
        if category not in names:
            where = annotation_name(annotation, file, number)
            raise InputError(
                f"{where}: expected one of the file's categories, got category {category!r}"
            )
        if not annotation.get("segmentation") and annotation.get("bbox") is None:
            where = annotation_name(annotation, file, number)
            raise InputError(f"{where}: expected a segmentation or a bbox, got neither")
        by_image[image].append(annotation)
    return by_image


def annotation_name(annotation: CocoAnnotation, file: Path, number: int, of: str = "") -> str:
    """The name of an annotation in errors: its id, or else its number (from 1)."""
    ident = annotation.get("id")
    return f"{file}: annotation {f'number {number}{of}' if ident is None else ident}"


def read_questions(file: Path, content: Instances) -> Mapping[int | str, Sequence[CocoQuestion]]:
    """Reads the questions of each image.

    Raises:
        InputError: a field of the wrong type, an unknown image, a file name shared by several
            images, or an index without an annotation.
    """
    asked = entries(_QUESTIONS, read_json(file), str(file), "question")
    ids = {image["id"] for image in content.images}
    by_name: dict[str, list[int | str]] = defaultdict(list)
    for image in content.images:
        by_name[image["file_name"]].append(image["id"])
    by_image: dict[int | str, list[CocoQuestion]] = defaultdict(list)
    for number, question in enumerate(asked, start=1):
        given, name = question.get("image_id"), question.get("file_name")
        matches = [given] if given in ids else by_name.get(name or "", [])
        if len(matches) != 1 or matches[0] is None:
            got = repr(name if given is None else given)
            many = f"{got}, shared by {len(matches)} images: give its image_id" if matches else got
            raise InputError(
                f"{file}: question {number}: expected the image_id or file_name of an image in the "
                f"instances, got {many}"
            )
        count = len(content.by_image.get(matches[0], ()))
        if any(index >= count for index in question.get("about") or ()):
            raise InputError(
                f"{file}: question {number}: field 'about': expected indices of the image's "
                f"{count} annotations, from 0, got {question.get('about')}"
            )
        by_image[matches[0]].append(question)
    return by_image
