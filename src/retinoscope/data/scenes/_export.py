"""Export of samples to COCO's format: instances JSON, PNG images, and the questions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from ... import arguments
from ...errors import InputError
from .._sample import Object, Sample
from .._segmentation import run_lengths
from ._kinds import KINDS

_CATEGORY = {name: 1 + index for index, name in enumerate(KINDS)}


def export_coco(samples: Iterable[Sample], folder: str | Path) -> Path:
    """Writes `images/*.png`, `annotations/instances.json` and `questions.json` under `folder`.

    `about` of the questions indexes the image's annotations, which are in the order of its objects.
    Captions, colours, parts, relations and signs have no place in the format. Categories are
    `KINDS`, numbered from 1; boxes are x, y, width, height. Returns the folder.

    Raises:
        InputError: the folder already holds an export, or an object is not one of `KINDS`.
    """
    folder = arguments.path(folder, "a folder")
    arguments.listed(samples, "samples")
    instances = folder / "annotations" / "instances.json"
    if instances.exists():
        raise InputError(
            f"expected a folder without an export, got {folder}, which holds {instances.name}: "
            "name another folder"
        )
    (folder / "images").mkdir(parents=True, exist_ok=True)
    instances.parent.mkdir(exist_ok=True)
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    asked: list[dict[str, object]] = []
    for image_id, sample in enumerate(samples, start=1):
        name = f"{sample.id}.png"
        sample.image.save(folder / "images" / name)
        width, height = sample.image.size
        images.append({"id": image_id, "file_name": name, "width": width, "height": height})
        for obj in sample.objects:
            annotations.append(_annotation(len(annotations) + 1, image_id, obj))
        for question in sample.questions:
            asked.append(
                {
                    "image_id": image_id,
                    "file_name": name,
                    "question": question.question,
                    "answer": question.answer,
                    "kind": question.kind,
                    "about": list(question.about),
                }
            )
    categories = [{"id": number, "name": name} for name, number in _CATEGORY.items()]
    _write(folder / "questions.json", asked)
    _write(instances, {"images": images, "annotations": annotations, "categories": categories})
    return folder


def _annotation(number: int, image_id: int, obj: Object) -> dict[str, object]:
    if obj.name not in _CATEGORY:
        raise InputError(
            f"expected objects of the drawn kinds, got {obj.name!r}: export drawn scenes only"
        )
    x0, y0, x1, y1 = obj.box
    return {
        "id": number,
        "image_id": image_id,
        "category_id": _CATEGORY[obj.name],
        "segmentation": run_lengths(obj.mask),
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": obj.area,
        "iscrowd": 0,
    }


def _write(file: Path, content: object) -> None:
    file.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")
