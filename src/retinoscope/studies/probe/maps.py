"""Stores predictions of dense probes per image, for the report and the microscope."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ...errors import InputError
from ...store import RunDirectory
from .._categories import TRUTH, Categories, write_categories
from .._executor import Example
from .._resumable import write_example
from .dense_labels import DenseLabels
from .instance_probes import instance_truth
from .labels import UNKNOWN
from .setup import Setup
from .sources import Source
from .units import said_at


@dataclass(frozen=True)
class _LayerAnswers:
    """Answers of each layer's first probe at all test locations, and the truth, for one task."""

    task: str
    source: Source
    dense: DenseLabels
    values: Int[np.ndarray, "layer_and_truth location"]

    def of(self, start: int, image: int) -> tuple[tuple[str, ...], Int[np.ndarray, "layer n"]]:
        """Classes and answers of one image; instances are numbered like the true objects.

        Args:
            start: the image's first location.
        """
        answers = self.values[:, start : start + self.dense.located[image].n]
        if self.task != "instances":
            return self.dense.classes, answers
        answers = np.stack([*(aligned(row, answers[-1]) for row in answers[:-1]), answers[-1]])
        n = int(answers.max(initial=0)) + 1
        return tuple(f"object {k + 1}" for k in range(n)), answers


def write_maps(directory: RunDirectory, setup: Setup, n_examples: int) -> None:
    """Writes the categories of every test image, and pictures of the first `n_examples`."""
    data = setup.grids.data
    tables = [
        _layer_answers(directory, setup, source, task)
        for source in setup.sources.values()
        if source.kind == "encoder"
        for task in setup.grids.questions.dense
    ]
    if not tables:
        return
    starts = dict.fromkeys((table.source.name for table in tables), 0)
    for number, image in enumerate(tables[0].dense.plan.test.tolist()):
        truth = data.truths[image]
        maps: list[Categories] = []
        for table in tables:
            name = table.source.name
            classes, values = table.of(starts[name], image)
            boxes = data.boxes[name][truth.size]
            maps.append(
                Categories(
                    f"{table.task}, {name}",
                    classes,
                    (*table.source.layers, TRUTH),
                    values,
                    boxes,
                    _grid(boxes),
                    "Predicted by a light head on each layer; the image was not trained on.",
                    table.task,
                )
            )
        for name in starts:
            starts[name] += data.located[name][image].n
        write_categories(directory, truth.sample, maps)
        if number < n_examples:
            _write_picture(directory, setup, number, image)


def _layer_answers(
    directory: RunDirectory, setup: Setup, source: Source, task: str
) -> _LayerAnswers:
    dense = setup.grids.labels(source.name, task)
    n = dense.test.n_locations
    rows = []
    for layer in source.layers:
        try:
            kept = directory.read_tensors(said_at(source.name, layer, task))
            rows.append(kept["values"].astype(np.int64))
        except InputError:
            # The probe failed, and its row says why.
            rows.append(np.full(n, UNKNOWN))
    return _LayerAnswers(task, source, dense, np.stack([*rows, _truth(dense, task)]))


def _write_picture(directory: RunDirectory, setup: Setup, number: int, image: int) -> None:
    data = setup.grids.data
    truth = data.truths[image]
    boxes = data.boxes[next(iter(setup.sources))][truth.size]
    grid = _grid(boxes)
    facts = {
        "sample": truth.sample,
        "size": [*truth.size],
        "grid": None if grid is None else [*grid],
        "boxes": [None if np.isnan(box).any() else box.tolist() for box in boxes],
    }
    write_example(directory, f"{number:05d}", Example(facts, data.images[image]))


def _truth(dense: DenseLabels, task: str) -> np.ndarray:
    if task == "instances":
        return instance_truth(dense)
    return np.concatenate([dense.labels(image) for image in dense.plan.test.tolist()])


def aligned(group: Int[np.ndarray, " n"], truth: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Renumbers groups: each takes the number of the object that it shares most locations with.

    Larger groups come first; where the object is taken, a group gets a number behind all objects.
    """
    free = set(range(int(truth.max(initial=UNKNOWN)) + 1))
    spare = len(free)
    aligned_group = np.full(len(group), UNKNOWN)
    numbers, sizes = np.unique(group[group >= 0], return_counts=True)
    for number in numbers[np.argsort(-sizes, kind="stable")]:
        inside = group == number
        objects = truth[inside & (truth >= 0)]
        best = int(np.bincount(objects).argmax()) if len(objects) else UNKNOWN
        if best not in free:
            best, spare = spare, spare + 1
        free.discard(best)
        aligned_group[inside] = best
    return aligned_group


def _grid(boxes: Float[np.ndarray, "n 4"]) -> tuple[int, int] | None:
    """Rows and columns, if the boxes form one grid in row-major order."""
    if np.isnan(boxes).any():
        return None
    columns = len(np.unique(boxes[:, 0].round(3)))
    rows = len(np.unique(boxes[:, 1].round(3)))
    if rows * columns != len(boxes):
        return None
    regular = np.allclose(boxes[:, 0].reshape(rows, columns), boxes[None, :columns, 0])
    return (rows, columns) if regular else None
