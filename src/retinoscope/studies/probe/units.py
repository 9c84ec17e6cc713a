"""The unit that is fitted and written as a whole: one probe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ...naming import slugify
from .cases import Labels
from .draws import CONSTANT
from .sources import Source
from .tasks import TASKS


class ProbeUnit(NamedTuple):
    """One probe; the constant answer has neither source nor layer.

    Attributes:
        number: of the probe seed.
    """

    source: str
    layer: str
    task: str
    labels: Labels
    number: int

    def __str__(self) -> str:
        read = f"{self.source} {self.layer}" if self.source else CONSTANT
        extra = "" if self.labels == "true" else f", {self.labels} labels"
        return f"{read}: {self.task}{extra}, seed {self.number}"

    @property
    def shown(self) -> bool:
        """Whether its answers at locations are kept for maps: only those of the first seed."""
        return self.labels == "true" and not self.number


def said_at(source: str, layer: str, task: str) -> str:
    """The name of the array with the first probe's answers at all test locations."""
    return f"said/{slugify(source) or 'encoder'}/{layer}/{task}"


def units_of(
    sources: Sequence[Source], tasks: Sequence[str], seeds: int, controls: bool
) -> Iterator[ProbeUnit]:
    """All probes, grouped by layer.

    Args:
        controls: also control labels and shuffled labels, with the first seed.
    """
    for task in tasks:
        yield from (ProbeUnit("", "", task, "true", number) for number in range(seeds))
    for source in sources:
        for layer in source.layers:
            for task in tasks:
                for number in range(seeds if source.kind == "encoder" else 1):
                    yield ProbeUnit(source.name, layer, task, "true", number)
                if controls and source.kind == "encoder" and TASKS[task].controlled:
                    yield ProbeUnit(source.name, layer, task, "control", 0)
                    yield ProbeUnit(source.name, layer, task, "shuffled", 0)
