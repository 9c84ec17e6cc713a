"""Determines the tasks that the data can ask, their classes, and what is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import InputError
from .dense import Relabel, foreground_cells, part_cells, part_counts, semantic_cells
from .labels import Labelled, LeftOut, label_images, label_objects, usable_classes
from .read import Data
from .split import Split
from .tasks import BACKGROUND, TASKS


@dataclass(frozen=True, eq=False)
class Questions:
    """What is asked.

    Attributes:
        tasks: those that the data can ask, in the order of `TASKS`.
        labelled: cases of the tasks about objects, pairs and images.
        dense: classes (background first) and labels of the tasks about locations.
        left_out: classes, objects and tasks that are not asked about, and why.
    """

    tasks: tuple[str, ...]
    labelled: dict[str, Labelled]
    dense: dict[str, tuple[tuple[str, ...], Relabel]]
    left_out: tuple[LeftOut, ...]

    def classes(self, task: str) -> tuple[str, ...]:
        return self.dense[task][0] if task in self.dense else self.labelled[task].classes


def questions_of(
    data: Data,
    splits: Sequence[Split],
    tasks: Sequence[str],
    classes: Sequence[str] | None,
    most: int,
) -> Questions:
    """The questions among `tasks` that the data can ask.

    Raises:
        InputError: no object can be asked about, or a name is outside the class list.
    """
    names = {i: Counter(item.name for item in t.items) for i, t in data.truths.items()}
    kept, left = usable_classes("name", names, splits, classes, most)
    if not kept:
        why = left[0].why if left else "no image has objects"
        raise InputError(
            "expected objects with names in the training, validation and test images, got none "
            f"that can be asked about ({why}): give data with objects, or more of them"
        )
    left_out = list(left) + data.left_out
    labelled: dict[str, Labelled] = {}
    dense: dict[str, tuple[tuple[str, ...], Relabel]] = {}
    index = {name: number for number, name in enumerate(kept)}
    for task in (name for name in TASKS if name in tasks):
        if TASKS[task].scope == "location":
            asked = _dense(task, data, splits, index, most, left_out)
            if asked is not None:
                dense[task] = asked
            continue
        if task == "present":
            cases, missing = label_images(data.truths, splits, kept)
        else:
            cases, missing = label_objects(task, data.truths, splits, kept)
        # Names that are left out of every task are listed once.
        left_out += [entry for entry in missing if entry not in left_out]
        if cases is not None:
            labelled[task] = cases
    asked_tasks = tuple(task for task in TASKS if task in labelled or task in dense)
    if not asked_tasks:
        raise InputError(
            f"expected data that can ask at least one of {', '.join(tasks)}, got none: "
            + "; ".join(f"{entry.task}: {entry.why}" for entry in left_out[-3:])
        )
    return Questions(asked_tasks, labelled, dense, tuple(left_out))


def _dense(
    task: str,
    data: Data,
    splits: Sequence[Split],
    index: dict[str, int],
    most: int,
    left: list[LeftOut],
) -> tuple[tuple[str, ...], Relabel] | None:
    if task == "semantic":
        return (BACKGROUND, *index), semantic_cells(data.truths, index)
    if task == "parts":
        kept, missing = usable_classes(task, part_counts(data.truths), splits, most=most)
        left += missing
        if not kept:
            left.append(LeftOut(task, "all", "no object has parts in every split", 0))
            return None
        places = {name: number for number, name in enumerate(kept)}
        return (BACKGROUND, *kept), part_cells(data.truths, places)
    if not any(
        located.objects.label.any() for on in data.located.values() for located in on.values()
    ):
        left.append(LeftOut(task, "all", "no object has an outline", 0))
        return None
    return (BACKGROUND, "object"), foreground_cells
