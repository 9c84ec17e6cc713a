"""The locations used for each encoder, and their labels; encoders with the same grid share them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from .dense_labels import DenseLabels
from .gather import Plan, plan_of
from .questions import Questions
from .read import Data
from .split import Split


@dataclass(frozen=True, eq=False)
class Grids:
    """Plans and labels, made on first use.

    Attributes:
        locations: limit on training locations of a task.
        dense_images: limit on test images scored at every location.
    """

    data: Data
    splits: Sequence[Split]
    questions: Questions
    locations: int
    dense_images: int
    seed: int

    def plan(self, encoder: str) -> Plan:
        """The drawn locations, and the images used whole."""
        name = self._like(encoder)
        if name not in self._plans:
            self._plans[name] = plan_of(
                self.data.located[name], self.splits, self.locations, self.dense_images, self.seed
            )
        return self._plans[name]

    def labels(self, encoder: str, task: str) -> DenseLabels:
        """The truth of a task at locations."""
        name = self._like(encoder)
        if (name, task) not in self._labels:
            classes, relabel = self.questions.dense[task]
            self._labels[name, task] = DenseLabels(
                classes,
                relabel,
                self.data.truths,
                self.data.located[name],
                self.plan(name),
                self.data.boxes[name],
            )
        return self._labels[name, task]

    def complete(self, encoder: str) -> None:
        """Computes all labels on the encoder's grid."""
        for task in self.questions.dense:
            labels = self.labels(encoder, task)
            _ = labels.test
            for image in self.data.truths:
                labels.labels(image)

    def _like(self, encoder: str) -> str:
        """The first encoder that has the same grid."""
        if encoder not in self._first:
            by_image = self.data.located[encoder]
            self._first[encoder] = next(
                name
                for name, other in self.data.located.items()
                if all(other[image] is on for image, on in by_image.items())
            )
        return self._first[encoder]

    @cached_property
    def _first(self) -> dict[str, str]:
        return {}

    @cached_property
    def _plans(self) -> dict[str, Plan]:
        return {}

    @cached_property
    def _labels(self) -> dict[tuple[str, str], DenseLabels]:
        return {}
