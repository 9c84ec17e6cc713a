"""`Sample`: an image with its annotations. Every data source yields this type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool
from PIL import Image

from ._gaze import Gaze


@dataclass(frozen=True, eq=False)
class Part:
    """A named part of an object; `mask` is (H, W), True where the part is *visible*."""

    name: str
    mask: Bool[np.ndarray, "height width"]


@dataclass(frozen=True, eq=False)
class Object:
    """One instance in an image.

    `mask` is (H, W), True where the object is visible; `box` is x0, y0, x1, y1 in pixels of the
    original image, x1 and y1 exclusive. `color` and `parts` are empty if the source has none,
    `polygons` ([x, y, x, y, ...] each) if it has only pixels. `boxed` is True if the source gives a
    box but no outline: `mask` is then the box and includes background. `stated_area` is the area in
    pixels that the source states (COCO's field), or None.
    """

    name: str
    mask: Bool[np.ndarray, "height width"]
    box: tuple[float, float, float, float]
    color: str | None = None
    parts: tuple[Part, ...] = ()
    polygons: tuple[tuple[float, ...], ...] = ()
    boxed: bool = False
    stated_area: float | None = None

    @property
    def area(self) -> int:
        """Visible pixels."""
        return int(self.mask.sum())


@dataclass(frozen=True)
class Relation:
    """`objects[subject]` is `name` `objects[object]`.

    `name` is "left of", "right of", "above" or "below" in scenes, otherwise the source's own word.
    """

    subject: int
    name: str
    object: int


@dataclass(frozen=True, eq=False)
class Sign:
    """A word written in the image; `mask` is (H, W), True on the whole visible sign."""

    word: str
    mask: Bool[np.ndarray, "height width"]
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Question:
    """A question with its one-word answer.

    `kind` is "polling", "color", "kind", "relation", "count" or "sign" in scenes, and "question" if
    the source gives none. Scenes whose sizes, kinds or grounds vary also have "position" (in which
    third of the image), "twin-color" (of one of two objects of a kind, told by its place),
    "count-color" and "count-kind" (how many of a colour or kind), and "polling-adversarial": absent
    kinds that usually stand on the scene's ground, and as many present ones. The last kind is for
    evaluation and not to be trained on.

    `about` indexes the objects that carry the answer: the named objects of a polling question
    answered "yes", the coloured object of a colour question, the *answer's* object of a relation
    question, the objects counted by colour or kind; empty if no single object does.
    """

    question: str
    answer: str
    kind: str = "question"
    about: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Sample:
    """An image with its ground truth. `id` is unique within its source and stable across runs.

    `others` are objects that are present but not studied (see `retinoscope.curation`): they count
    as instances, and their tokens are not background. `ignore` is (H, W), True where the source
    does not say what is there (void, crowds), None if it always does. `attention` is where people
    looked while they spoke or read parts of a text (`retinoscope.gaze`).
    """

    id: str
    image: Image.Image
    objects: tuple[Object, ...] = ()
    captions: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()
    relations: tuple[Relation, ...] = ()
    signs: tuple[Sign, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)
    others: tuple[Object, ...] = ()
    ignore: Bool[np.ndarray, "height width"] | None = None
    attention: tuple[Gaze, ...] = ()
