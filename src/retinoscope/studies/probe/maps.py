"""Predictions of dense probes, image by image, for the report and the microscope."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from ...store import Json, RunDirectory
from .._categories import TRUTH, Categories, write_categories
from .._results import EXAMPLES
from .labels import UNKNOWN
from .places import Ground, instance_truth
from .read import Data
from .sources import Source

Said = Callable[[Source, str, str], Int[np.ndarray, " n"]]
"""What the first seed's probe of a source, a layer and a task said at all test locations."""


def write_maps(
    directory: RunDirectory,
    data: Data,
    grounds: Mapping[tuple[str, str], Ground],
    sources: Sequence[Source],
    said: Said,
    n_examples: int,
) -> None:
    """Keeps the categories of every test image, and pictures of the first ones.

    Args:
        grounds: by name of the encoder and task.
    """
    tables: list[tuple[Source, str, Ground, np.ndarray]] = []
    for source in sources:
        for task in (task for name, task in grounds if name == source.name):
            ground = grounds[source.name, task]
            rows = [said(source, layer, task) for layer in source.layers]
            tables.append((source, task, ground, np.stack([*rows, _truth(ground, task)])))
    if not tables:
        return
    images = tables[0][2].plan.test.tolist()
    starts = dict.fromkeys((source.name for source in sources), 0)
    kept: list[dict[str, Json]] = []
    for number, image in enumerate(images):
        truth = data.truths[image]
        maps: list[Categories] = []
        for source, task, ground, table in tables:
            first, n = starts[source.name], ground.located[image].n
            own = table[:, first : first + n]
            classes = ground.classes
            if task == "instances":
                own = np.stack([*(aligned(row, own[-1]) for row in own[:-1]), own[-1]])
                classes = tuple(f"object {k + 1}" for k in range(int(own.max(initial=0)) + 1))
            boxes = data.boxes[source.name][truth.size]
            maps.append(
                Categories(
                    f"{task}, {source.name}",
                    classes,
                    (*source.layers, TRUTH),
                    own,
                    boxes,
                    _grid(boxes),
                    "Predicted by a light head on each layer; the image was not trained on.",
                )
            )
        for source, _, ground, _ in {one[0].name: one for one in tables}.values():
            starts[source.name] += ground.located[image].n
        write_categories(directory, truth.sample, maps)
        if number < n_examples:
            buffer = io.BytesIO()
            data.images[image].convert("RGB").save(buffer, format="PNG")
            name = f"examples/{number:05d}.png"
            directory.write_file(name, buffer.getvalue())
            boxes = data.boxes[sources[0].name][truth.size]
            kept.append(
                {
                    "sample": truth.sample,
                    "image": name,
                    "size": [*truth.size],
                    "grid": None if (grid := _grid(boxes)) is None else [*grid],
                    "boxes": [None if np.isnan(box).any() else box.tolist() for box in boxes],
                }
            )
    text = json.dumps(kept, ensure_ascii=False, sort_keys=True) + "\n"
    directory.write_file(EXAMPLES, text.encode("utf-8"))


def _truth(ground: Ground, task: str) -> np.ndarray:
    if task == "instances":
        return instance_truth(ground)
    return np.concatenate([ground.labels(image) for image in ground.plan.test.tolist()])


def aligned(group: Int[np.ndarray, " n"], truth: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Groups under the number of the object that they share most locations with, if it is free;
    the others behind all objects."""
    free = set(range(int(truth.max(initial=UNKNOWN)) + 1))
    spare = len(free)
    found = np.full(len(group), UNKNOWN)
    numbers, sizes = np.unique(group[group >= 0], return_counts=True)
    for number in numbers[np.argsort(-sizes, kind="stable")]:
        inside = group == number
        objects = truth[inside & (truth >= 0)]
        best = int(np.bincount(objects).argmax()) if len(objects) else UNKNOWN
        if best not in free:
            best, spare = spare, spare + 1
        free.discard(best)
        found[inside] = best
    return found


def _grid(boxes: Float[np.ndarray, "n 4"]) -> tuple[int, int] | None:
    """Rows and columns, where the boxes are one grid in row-major order."""
    if np.isnan(boxes).any():
        return None
    columns = len(np.unique(boxes[:, 0].round(3)))
    rows = len(np.unique(boxes[:, 1].round(3)))
    if rows * columns != len(boxes):
        return None
    regular = np.allclose(boxes[:, 0].reshape(rows, columns), boxes[None, :columns, 0])
    return (rows, columns) if regular else None
