"""Checks of methods on the planted models, whose mechanism is known.

A method that cannot distinguish two models that work differently does not measure the difference,
whatever figures it draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..arguments import whole
from ..data import Sample, squares
from ..engine import load
from ..errors import InputError
from ..pocket.planted import PLANTED as MODELS
from ..pocket.planted import PREFIX
from ..saliency import METHODS
from ._planted import Measured
from ._planted_maps import measure_maps
from .registry import PLANTED, part

if TYPE_CHECKING:
    from ..engine import VLM

CHECKS = (*PLANTED, *METHODS)
"""What can be checked: studies, and methods that make heat maps."""
LYING = ("on-words", "idle-words")
"""Models whose visual tokens lie near words, which only lenses can tell; not run for others."""
LEAST_GAP = 0.5
"""Two models are distinguished by a measure that differs by at least this much."""
PAIRS = (
    ("via-query", "direct"),
    ("one-hot-patch", "global-broadcast"),
    *((name, "blind") for name in ("via-query", "direct", "one-hot-patch", "global-broadcast")),
)
"""Models that differ in how words reach the answer, in what a visual token holds, or in whether the
image is seen at all."""


@dataclass(frozen=True)
class PlantedCheck:
    """The measures of one method on all planted models.

    Attributes:
        method: name of the method.
        n: number of images.
        measured: model -> measure -> value.
    """

    method: str
    n: int
    measured: Mapping[str, Measured]

    @property
    def distinguished(self) -> dict[tuple[str, str], str | None]:
        """For each of `PAIRS` the measure that differs most, if by `LEAST_GAP`; else None."""
        by: dict[tuple[str, str], str | None] = {}
        for first, second in PAIRS:
            gaps = {
                name: abs(value - other)
                for name, value in self.measured[first].items()
                if value is not None and (other := self.measured[second][name]) is not None
            }
            best = max(gaps, key=lambda name: gaps[name], default=None)
            by[first, second] = best if best is not None and gaps[best] >= LEAST_GAP else None
        return by

    def __str__(self) -> str:
        measures = list(next(iter(self.measured.values())))
        width = max(map(len, self.measured))
        lines = [f"{self.method} on the planted models, {self.n} images of squares", ""]
        lines += [f"  ({number}) {name}" for number, name in enumerate(measures, 1)]
        heads = "".join(f"{f'({number})':>8}" for number in range(1, len(measures) + 1))
        lines += ["", f"  {'':<{width}}{heads}"]
        for model, values in self.measured.items():
            cells = ("-" if value is None else f"{value:.2f}" for value in values.values())
            lines.append(f"  {model:<{width}}" + "".join(f"{cell:>8}" for cell in cells))
        lines.append("")
        for (first, second), by in self.distinguished.items():
            verdict = "does not tell" if by is None else "tells"
            end = "" if by is None else f" by ({measures.index(by) + 1})"
            lines.append(f"  {verdict} {first} from {second}{end}")
        return "\n".join(lines)


def check_planted(method: str, n: int = 24, seed: int = 0) -> PlantedCheck:
    """Runs a method on every planted model.

    Args:
        method: one of `CHECKS`.
        n: number of images of squares; ten times as many for a method that has to be trained.
        seed: seed of the images.

    Raises:
        InputError: the method is unknown, or `n` is below 1.
    """
    if method not in CHECKS:
        raise InputError(f"expected a method ({', '.join(CHECKS)}), got {method!r}")
    planted = part(method, "planted") if method in PLANTED else None
    n = whole(n, "images", 1) * getattr(planted, "TIMES", 1)
    samples = squares(n, seed)
    models = getattr(planted, "MODELS", [name for name in MODELS if name not in LYING])
    return PlantedCheck(
        method, n, {name: _measured(method, load(PREFIX + name), samples) for name in models}
    )


def _measured(method: str, vlm: VLM, samples: Sequence[Sample]) -> Measured:
    if method in METHODS:
        return measure_maps(METHODS[method], vlm, samples)
    return part(method, "planted").measure(vlm, samples)
