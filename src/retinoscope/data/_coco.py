"""Folders in COCO's format: instances JSON, images, and optional questions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ._about import about_by_name
from ._box import Box, beyond, box_mask, cut_box, outer_box, slack
from ._coco_file import (
    CocoAnnotation,
    CocoImage,
    CocoQuestion,
    Instances,
    annotation_name,
    read_questions,
)
from ._mask import check_masks
from ._sample import Object, Question, Sample
from ._segmentation import decode_segmentation
from .images import open_sized
from .lazy import LazySamples, content_hash, existing_folder
from .skipped import SKIPPED, Skipped


def coco(
    folder: str | Path,
    *,
    annotations: str | Path | None = None,
    images: str | Path | None = None,
    questions: str | Path | None = None,
    crowds: bool = False,
    skip_missing: bool = False,
    outside: bool = False,
) -> LazySamples:
    """Samples of a folder in COCO's format, in the order of its instances file.

    A sample's id is the image's id as text. Objects follow the annotations. Masks are rasterised
    when a sample is accessed. Images are turned upright (EXIF), or left as stored if only that
    gives the size in the annotations. `meta` has "file_name", "crowds" (names of the crowd regions
    that were left out; `ignore` covers them), "unseen" (ids of annotations that cover no pixel
    centre, left out) and "skipped" (damaged annotations: an impossible segmentation, or a box that
    extends beyond the image by more than a hundredth of its longer side; they become `others`:
    present, but neither objects nor background). Boxes that extend beyond the image by less are
    clipped. An annotation without a segmentation is its box (`Object.boxed`).

    Questions are a list of objects with "question", "answer", "image_id" or "file_name", and
    optionally "kind" and "about" (indices among the image's annotations). By default "about" is the
    one object that the answer names, or else the one that the question names; if several share the
    name, none.

    Args:
        folder: holds `annotations/instances*.json`, and the images in `images/`, in a folder named
            after the split (`val2017/`), in `images/val2017/`, or directly.
        annotations: the instances file, if there are several; relative to `folder`, or absolute.
        images: the folder of images, likewise.
        questions: a JSON file, likewise; by default `questions.json` if it exists.
        crowds: keep crowd regions as objects.
        skip_missing: leave out images whose file does not exist, instead of refusing.
        outside: allow file names that lead out of the folder of images.

    Raises:
        InputError: a missing file or folder, a file of another format, a field of the wrong type or
            out of range, a duplicate id, a file name that leads out of the folder, an annotation or
            question about an unknown image or category; on access, an unreadable image or one whose
            size is not that of its annotations.
        MissingExtraError: on access, compressed run lengths without pycocotools.
    """
    root = existing_folder(folder, "a folder in COCO's format")
    instances = _instances_file(root, annotations)
    content = Instances.of(instances, outside=outside)
    source = _Coco.opened(root, instances, content, images, questions, skip_missing, crowds)
    return LazySamples(
        f"{'outside:' if outside else ''}coco:{root if annotations is None else instances}",
        source.read,
        source.describe,
        range(len(source.images)),
        tuple(dict.fromkeys(content.names.values())),
        source.skipped,
    )


@dataclass(frozen=True)
class _Coco:
    """What `LazySamples` reads from.

    Attributes:
        images: those of `content` whose file exists.
    """

    instances: Path
    questions_file: Path | None
    folder: Path
    content: Instances
    images: Sequence[CocoImage]
    questions: Mapping[int | str, Sequence[CocoQuestion]]
    crowds: bool

    @classmethod
    def opened(
        cls,
        root: Path,
        instances: Path,
        content: Instances,
        images: str | Path | None,
        questions: str | Path | None,
        skip_missing: bool,
        crowds: bool,
    ) -> _Coco:
        """Finds the questions and the images of an instances file."""
        asked = _questions_file(root, questions)
        folder = _images_folder(root, instances, images, content.images)
        return cls(
            instances=instances,
            questions_file=asked,
            folder=folder,
            content=content,
            images=_present(content.images, folder, instances, skip_missing),
            questions={} if asked is None else read_questions(asked, content),
            crowds=crowds,
        )

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """One for each image without a file."""
        missing = len(self.content.images) - len(self.images)
        return (
            Skipped("images left out, for their file is missing", f"in {self.folder}"),
        ) * missing

    def describe(self, places: Sequence[int]) -> object:
        chosen = [self.images[place] for place in places]
        return {
            "source": "coco",
            "annotations": content_hash(self.instances),
            "questions": content_hash(self.questions_file),
            "crowds": self.crowds,
            "images": [[image["file_name"], self._file(image).stat().st_size] for image in chosen],
        }

    def read(self, place: int) -> Sample:
        entry = self.images[place]
        size = (entry["width"], entry["height"])
        image = open_sized(self._file(entry), size, self.instances.name)
        parsed = _ParsedAnnotations(size, self.instances)
        annotations = self.content.by_image.get(entry["id"], ())
        check_masks(len(annotations), size, f"{self.instances}: image {entry['id']}")
        for number, annotation in enumerate(annotations):
            crowd = bool(annotation.get("iscrowd")) and not self.crowds
            parsed.add(number, annotation, self.content.names[annotation["category_id"]], crowd)
        return Sample(
            id=str(entry["id"]),
            image=image,
            objects=tuple(parsed.objects),
            questions=tuple(
                parsed.question(asked) for asked in self.questions.get(entry["id"], ())
            ),
            meta={
                "source": "coco",
                "file_name": entry["file_name"],
                "crowds": tuple(parsed.crowds),
                "unseen": tuple(parsed.unseen),
                SKIPPED: tuple(parsed.skipped),
            },
            others=tuple(parsed.others),
            ignore=parsed.ignore,
        )

    def _file(self, entry: CocoImage) -> Path:
        return self.folder / entry["file_name"]


class _ParsedAnnotations:
    """The annotations of one image, parsed; `size` is its width and height."""

    def __init__(self, size: tuple[int, int], file: Path) -> None:
        self.size, self.file = size, file
        self.objects: list[Object] = []
        self.others: list[Object] = []
        self.crowds: list[str] = []
        self.unseen: list[object] = []
        self.skipped: list[Skipped] = []
        self.ignore: np.ndarray | None = None
        self._index_of: dict[int, int] = {}

    def add(self, number: int, annotation: CocoAnnotation, name: str, crowd: bool) -> None:
        """Parses annotation `number` of the image."""
        corners = _corners(annotation)
        box = None if corners is None else cut_box(corners, *self.size)
        if crowd:
            self.crowds.append(name)
        where = annotation_name(
            annotation, self.file, number + 1, f" of image {annotation['image_id']}"
        )
        try:
            mask = self._mask(annotation)
            if corners is not None and beyond(corners, *self.size) > slack(*self.size):
                raise InputError(
                    f"field 'bbox': expected a box in the image of {self.size[0]}x{self.size[1]} "
                    f"pixels, got {list(corners)} (x0 y0 x1 y1)"
                )
        except InputError as error:
            self._leave_out(name, box, crowd, f"{where}: {error}")
            return
        if crowd:
            self._ignore(mask)
        elif not mask.any():
            self.unseen.append(annotation.get("id"))
        else:
            self._index_of[number] = len(self.objects)
            outline = annotation.get("segmentation")
            polygons = _polygons(outline)
            obj = Object(
                name,
                mask,
                box or outer_box(mask),
                polygons=polygons,
                boxed=not outline,
                stated_area=annotation.get("area"),
            )
            self.objects.append(obj)

    def question(self, asked: CocoQuestion) -> Question:
        question, answer = asked["question"], asked["answer"]
        kind = asked.get("kind") or "question"
        given = asked.get("about")
        if given is None:
            about = about_by_name(question, answer, kind, [obj.name for obj in self.objects])
        else:
            # Annotations that were left out are dropped here too.
            about = tuple(self._index_of[at] for at in given if at in self._index_of)
        return Question(question, answer, kind, about)

    def _mask(self, annotation: CocoAnnotation) -> np.ndarray:
        outline, corners = annotation.get("segmentation"), _corners(annotation)
        if not outline:
            assert corners is not None
            return box_mask(corners, *self.size)
        return decode_segmentation(outline, self.size[1], self.size[0])

    def _leave_out(self, name: str, box: Box | None, crowd: bool, why: str) -> None:
        """Keeps an object that cannot be studied as present, so that it is not background."""
        region = np.ones(self.size[::-1], dtype=bool)
        if box is not None and (inside := box_mask(box, *self.size)).any():
            region = inside
        if crowd:
            self._ignore(region)
        else:
            self.others.append(Object(name, region, outer_box(region), boxed=True))
        self.skipped.append(Skipped("objects left out because their annotation is damaged", why))

    def _ignore(self, region: np.ndarray) -> None:
        self.ignore = region if self.ignore is None else self.ignore | region


def _instances_file(root: Path, given: str | Path | None) -> Path:
    if given is not None:
        file = root / given
        if not file.is_file():
            raise InputError(f"{file}: expected an instances file, got no file there")
        return file
    files = sorted((root / "annotations").glob("instances*.json"))
    if not files:
        raise InputError(
            f"{root}: expected annotations/instances*.json, got none: unpack COCO's annotations "
            "into the folder annotations; for a folder of plain images use folder:PATH"
        )
    if len(files) > 1:
        raise InputError(
            f"{root / 'annotations'}: expected one instances file, got "
            f"{', '.join(file.name for file in files)}: name one, as coco:{files[0]} or "
            "rs.data.coco(folder, annotations=...)"
        )
    return files[0]


def _images_folder(
    root: Path, instances: Path, given: str | Path | None, images: Iterable[CocoImage]
) -> Path:
    if given is not None:
        return existing_folder(root / given, "the folder of images")
    split = instances.stem.removeprefix("instances").strip("_-")
    names = [entry["file_name"] for entry in images]
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
    images: Sequence[CocoImage], folder: Path, instances: Path, skip_missing: bool
) -> Sequence[CocoImage]:
    present = [entry for entry in images if (folder / entry["file_name"]).is_file()]
    if len(present) == len(images) or (skip_missing and present):
        return present
    found = {entry["file_name"] for entry in present}
    missing = next(entry["file_name"] for entry in images if entry["file_name"] not in found)
    raise InputError(
        f"{folder / missing}: no such image, and {len(images) - len(present)} of the "
        f"{len(images)} images of {instances.name} are missing: fetch them, or pass "
        "skip_missing=True to leave them out"
    )


def _questions_file(root: Path, given: str | Path | None) -> Path | None:
    file = root / (given or "questions.json")
    if file.is_file():
        return file
    if given is not None:
        raise InputError(f"{file}: expected a JSON file of questions, got no file there")
    return None


def _corners(annotation: CocoAnnotation) -> Box | None:
    box = annotation.get("bbox")
    return None if box is None else (box[0], box[1], box[0] + box[2], box[1] + box[3])


def _polygons(segmentation: object) -> tuple[tuple[float, ...], ...]:
    """The polygons; none for run lengths."""
    if isinstance(segmentation, Mapping) or not isinstance(segmentation, Sequence):
        return ()
    return tuple(tuple(float(value) for value in polygon) for polygon in segmentation)
