"""The same images with objects named by their colours."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import overload

from ..arguments import checked, listed
from ..errors import InputError
from ._sample import Sample
from .scenes import COLORS, Scenes


@dataclass(frozen=True, eq=False)
class ByColor(Sequence[Sample]):
    """Samples whose objects are named by their colours, otherwise unchanged. Made by `by_color`."""

    samples: Sequence[Sample]

    @property
    def classes(self) -> tuple[str, ...]:
        """The colours of drawn scenes; empty for other sources."""
        return COLORS if isinstance(self.samples, Scenes) else ()

    @property
    def fingerprint(self) -> str | None:
        """The same for equal samples, a SHA-256 in hexadecimal; None if the samples have none."""
        inner = getattr(self.samples, "fingerprint", None)
        if inner is None:
            return None
        return hashlib.sha256(f"by color {inner}".encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.samples)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> ByColor: ...
    def __getitem__(self, index: int | slice) -> Sample | ByColor:
        """Raises InputError for a sample with an object of unknown colour."""
        if isinstance(index, slice):
            return ByColor(self.samples[index])
        sample = self.samples[index]
        objects = []
        for number, obj in enumerate(sample.objects):
            if obj.color is None:
                raise InputError(
                    f"expected objects with colours, got none for object {number} "
                    f"({obj.name}) of {sample.id}: name objects by what they are"
                )
            objects.append(replace(obj, name=obj.color))
        return replace(sample, objects=tuple(objects))


@checked
def by_color(samples: Sequence[Sample]) -> ByColor:
    """Names each object by its colour, for studies that ask for names.

    Captions, questions, masks and parts stay. If a sample has two red objects, both are "red".
    """
    return ByColor(listed(samples, "samples"))
