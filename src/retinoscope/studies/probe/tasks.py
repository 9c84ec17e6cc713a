"""The probe tasks: the axis that each lies on, and how its answers are scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Scope = Literal["object", "pair", "image", "location"]
"""What an answer is about: an object with its mask, a pair of them, an image, or a location."""

Axis = Literal["semantics", "localisation", "both", "position"]


@dataclass(frozen=True)
class Task:
    """One question asked of the representations of a layer.

    Attributes:
        scope: what is classified; objects and pairs come with their masks.
        axis: which of the two axes it belongs to; "both" needs both, "position" is a control.
        measures: how it is scored; the first one selects on the validation split.
        controlled: whether it also runs with control labels and with shuffled labels.
    """

    name: str
    scope: Scope
    axis: Axis
    measures: tuple[str, ...]
    controlled: bool
    what: str


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            "name",
            "object",
            "semantics",
            ("class_accuracy", "accuracy"),
            True,
            "the object's name, its mask given",
        ),
        Task(
            "color",
            "object",
            "semantics",
            ("class_accuracy", "accuracy"),
            True,
            "the object's colour, its mask given",
        ),
        Task(
            "size",
            "object",
            "semantics",
            ("class_accuracy", "accuracy"),
            True,
            "the third of the training objects that it belongs to by area, its mask given",
        ),
        Task(
            "present",
            "image",
            "semantics",
            ("map",),
            False,
            "which names are in the image, from the mean of all locations",
        ),
        Task(
            "semantic",
            "location",
            "both",
            ("miou",),
            True,
            "the name at each location, or background",
        ),
        Task(
            "parts",
            "location",
            "both",
            ("miou",),
            False,
            "the part at each location, or background",
        ),
        Task(
            "foreground",
            "location",
            "localisation",
            ("iou", "boundary_iou"),
            False,
            "object or background at each location, whatever the object",
        ),
        Task(
            "instances",
            "location",
            "localisation",
            ("pq", "best_iou"),
            False,
            "which locations belong to one object, whatever it is",
        ),
        Task(
            "relation",
            "pair",
            "position",
            ("class_accuracy", "accuracy"),
            True,
            "left of, right of, above or below, the masks of both objects given",
        ),
    )
}
"""By name, in the order of a report."""

MEASURES: dict[str, str] = {
    "class_accuracy": "mean over classes of the share answered right",
    "accuracy": "share answered right",
    "map": "mean over classes of the average precision",
    "miou": "mean over classes of intersection over union, background included, over the data set",
    "iou": "intersection over union of the foreground, over the data set",
    "boundary_iou": "intersection over union of the bands inside the two contours",
    "pq": "panoptic quality without classes: IoU of what matches, over what matches and half the "
    "rest",
    "best_iou": "IoU of each object with the best predicted one (an oracle's choice)",
}
"""Measure -> its description."""

LEFT, RIGHT, ABOVE, BELOW = "left of", "right of", "above", "below"
RELATIONS = (LEFT, RIGHT, ABOVE, BELOW)
SIZES = ("small", "medium", "large")
BACKGROUND = "background"
