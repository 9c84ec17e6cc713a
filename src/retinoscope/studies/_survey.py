"""What a study needs from its data, and what the data has for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

from ..data import Sample
from ..errors import InputError
from ..sources import source_name
from ._executor import Progress
from ._needs import Need, fitting, missing_lines, refuse
from ._readable import Prints, Readable, prints_of


class Surveying(ABC):
    """A study before its model is loaded: reads its samples once, and checks that they suffice."""

    samples: Sequence[Sample]
    name: ClassVar[str]
    needs: ClassVar[str]
    uses: ClassVar[tuple[Need, ...]]

    def survey(self, out: str | Path, progress: Progress | None = None) -> Prints:
        """Reads all samples once, or the stored survey in `out`; needs no model.

        Raises:
            InputError: there are no samples, or none that can be read.
        """
        if not len(self.samples):
            raise InputError(
                f"the {self.name} study needs at least one sample, got an empty data set: "
                "check the data's path and filters"
            )
        show = progress or (lambda done, total, what: None)
        prints = prints_of(self.samples, Path(out), self.asks, show)
        if not len(Readable(self.samples, prints.texts)):
            raise InputError(
                f"none of the {len(self.samples)} samples can be read; the first is "
                f"{prints.texts[0]}"
            )
        return prints

    @abstractmethod
    def asks(self, sample: Sample) -> Mapping[str, int]:
        """Counts what each of `uses` can use of a sample; needs no model.

        Uses that the options exclude are not included.
        """

    def fitted(self, prints: Prints) -> Self:
        """Returns the study as far as its data allows it; needs no model.

        Raises:
            InputError: nothing of it can be run; says what the data has and how to add the rest.
        """
        contents = prints.contents
        if contents is None:
            return self
        met, _ = fitting(self.uses, contents)
        if not met:
            refuse(self.name, self.needs, self.uses, contents, source_name(self.samples))
        return self._instead() if all(need.instead for need in met) else self

    def data_lines(self, prints: Prints) -> list[str]:
        """Returns lines on what the data offers to the study, what it lacks, and what is unused."""
        contents, name = prints.contents, source_name(self.samples)
        if contents is None:
            return []
        met, missing = fitting(self.uses, contents)
        return [
            f"data: {name}, {contents.line}",
            *(f"  {line}" for line in contents.left_out),
            *(f"  {need.gives}" for need in met if need.instead),
            # If nothing is met, the refusal says it all.
            *(f"  {line}" for line in missing_lines(missing if met else (), contents, name)),
        ]

    def _instead(self) -> Self:
        """Returns the study with its makeshift, for data that has nothing better."""
        return self
