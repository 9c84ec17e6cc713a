"""Scenes as a COCO instances data set, to test on them whatever reads COCO."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from ...errors import InputError
from .._sample import Sample
from ._kinds import KINDS


def export_coco(samples: Sequence[Sample], folder: str | Path) -> Path:
    """Write `images/*.png`, `annotations/instances.json` and `questions.json` to `folder`.

    Raises:
        InputError: `folder` exists and is not empty.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"expected a new or empty folder, got {folder}: choose another one")
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    asked: list[dict[str, Any]] = []
    for image_id, sample in enumerate(samples, start=1):
        name = f"{sample.id}.png"
        sample.image.save(folder / "images" / name)
        width, height = sample.image.size
        images.append({"id": image_id, "file_name": name, "width": width, "height": height})
        for item in sample.objects:
            x0, y0, x1, y1 = item.box
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": KINDS.index(item.name) + 1,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": item.area,
                    "iscrowd": 0,
                    "segmentation": run_lengths(item.mask),
                }
            )
        asked += [
            {
                "image_id": image_id,
                "file_name": name,
                "question": question.question,
                "answer": question.answer,
                "kind": question.kind,
            }
            for question in sample.questions
        ]
    categories = [{"id": number, "name": kind} for number, kind in enumerate(KINDS, start=1)]
    instances = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations" / "instances.json").write_text(json.dumps(instances))
    (folder / "questions.json").write_text(json.dumps(asked))
    return folder


def run_lengths(mask: Bool[np.ndarray, "height width"]) -> dict[str, list[int]]:
    """COCO's uncompressed run lengths: down the columns, starting with a run of False."""
    flat = mask.T.reshape(-1)
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    bounds = np.concatenate(([0], changes, [flat.size]))
    counts = np.diff(bounds).tolist()
    if flat[0]:
        counts.insert(0, 0)
    return {"counts": counts, "size": list(mask.shape)}
