"""The base of all filters, and the filters that read annotations only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import ClassVar, Literal

from .. import arguments
from ..data import Object, Sample
from ..errors import InputError
from ._view import SampleView

Mode = Literal["paper", "corrected"]


@dataclass(frozen=True)
class Verdict:
    """Whether one object passes one filter.

    Attributes:
        kept: whether it passes.
        reason: the reason, in a few words.
        heard: the model's answers, by question; recorded for every object about which it was asked,
            even a dropped one.
    """

    kept: bool
    reason: str
    heard: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Filter(ABC):
    """Base of the filters: frozen dataclasses whose fields are their settings.

    A filter judges the objects left by the filters before it. `name` is written to files, so it
    must not change.
    """

    name: ClassVar[str]
    needs_model: ClassVar[bool] = False

    @property
    @abstractmethod
    def text(self) -> str:
        """What the filter keeps, in a few words."""

    @property
    def settings(self) -> dict[str, object]:
        """The fields as they are recorded."""
        return asdict(self)

    def keep(self, view: SampleView, objects: Sequence[int]) -> dict[int, Verdict]:
        """Returns a verdict for each of `objects` (indices among the sample's objects)."""
        return {index: self.judge(view, index) for index in objects}

    @abstractmethod
    def judge(self, view: SampleView, index: int) -> Verdict:
        """Returns the verdict on one object."""


@dataclass(frozen=True)
class OneInstance(Filter):
    """Objects whose category occurs exactly once in the image, crowd regions included."""

    name: ClassVar[str] = "one-instance"

    @property
    def text(self) -> str:
        return "exactly one instance of the category"

    def judge(self, view: SampleView, index: int) -> Verdict:
        name = view.sample.objects[index].name
        count = [*(obj.name for obj in present(view.sample)), *crowds(view.sample)].count(name)
        return Verdict(count == 1, f"{count} of {name}")


@dataclass(frozen=True)
class Area(Filter):
    """Objects of more than `low` and less than `high` visible pixels of the original image.

    The paper: 1,000 and 2,000, both excluded; for its lens 20,000 and 30,000.

    Args:
        low, high: exclusive bounds; None for no bound.
        mode: "paper" uses the annotation's own area field if it has one (as the released code does
            with COCO's); "corrected" counts the mask's pixels.
    """

    low: float | None = 1000
    high: float | None = 2000
    mode: Mode = "corrected"

    name: ClassVar[str] = "area"

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            if getattr(self, name) is not None:
                arguments.number(getattr(self, name), f"the area's {name} end", 0)
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise InputError(
                f"expected an area above a smaller and below a larger number of pixels, got "
                f"{self.low:g} and {self.high:g}"
            )

    @property
    def text(self) -> str:
        above = [] if self.low is None else [f"more than {self.low:g}"]
        below = [] if self.high is None else [f"less than {self.high:g}"]
        return f"area of {' and '.join([*above, *below]) or 'any number of'} pixels"

    def judge(self, view: SampleView, index: int) -> Verdict:
        obj = view.sample.objects[index]
        stated = obj.stated_area if self.mode == "paper" else None
        area = obj.area if stated is None else stated
        low = self.low is None or area > self.low
        return Verdict(low and (self.high is None or area < self.high), f"{area:g} pixels")


@dataclass(frozen=True)
class AtMost(Filter):
    """Images with at most `k` annotations, including crowds and those that cover no pixel."""

    k: int = 3

    name: ClassVar[str] = "at-most"

    def __post_init__(self) -> None:
        arguments.whole(self.k, "annotations an image", 1)

    @property
    def text(self) -> str:
        return f"at most {self.k} annotations in the image"

    def judge(self, view: SampleView, index: int) -> Verdict:
        sample = view.sample
        unseen = sample.meta.get("unseen", ())
        count = len(present(sample)) + len(crowds(sample)) + len(unseen)
        return Verdict(count <= self.k, f"{count} annotations")


@dataclass(frozen=True)
class First(Filter):
    """The first `n` of the objects that are left, in the order of the annotations."""

    n: int = 1

    name: ClassVar[str] = "first"

    def __post_init__(self) -> None:
        arguments.whole(self.n, "objects an image", 1)

    @property
    def text(self) -> str:
        return "the first such object" if self.n == 1 else f"the first {self.n} such objects"

    def keep(self, view: SampleView, objects: Sequence[int]) -> dict[int, Verdict]:
        return {
            index: Verdict(place < self.n, f"number {place + 1} of {len(objects)}")
            for place, index in enumerate(sorted(objects))
        }

    def judge(self, view: SampleView, index: int) -> Verdict:
        return self.keep(view, [index])[index]


@dataclass(frozen=True)
class HasQuestion(Filter):
    """Objects that alone carry the answer to one of the data's own questions."""

    kinds: tuple[str, ...] = ("color", "kind", "relation", "question")

    name: ClassVar[str] = "has-question"

    @property
    def text(self) -> str:
        return "a question of the data's is about it"

    def judge(self, view: SampleView, index: int) -> Verdict:
        questions = [
            question.question
            for question in view.sample.questions
            if question.kind in self.kinds and question.about == (index,)
        ]
        return Verdict(bool(questions), questions[0] if questions else "no question")


def present(sample: Sample) -> tuple[Object, ...]:
    """Returns all objects, including those that are not to be studied."""
    return (*sample.objects, *sample.others)


def crowds(sample: Sample) -> tuple[str, ...]:
    """Returns the names of crowd regions that the source left out."""
    return tuple(sample.meta.get("crowds", ()))
