"""The result of comparing two maps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class MapScore:
    """The comparison of one map with a reference.

    Attributes:
        metric: its name, as in `METRICS`.
        value: NaN where it is undefined, as `reason` explains.
        n: the number of fixations, or else of pixels (for a distance: cells).
        settings: what is needed to reproduce the number: repeated fixations, the treatment of
            negative values, resizing.
        reason: why it is undefined, or None.
    """

    metric: str
    value: float
    n: int
    settings: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    reason: str | None = None

    @property
    def defined(self) -> bool:
        return not math.isnan(self.value)


def undefined(
    metric: str, reason: str, n: int = 0, settings: Mapping[str, str | int | float | bool] = {}
) -> MapScore:
    """An undefined score, with the reason."""
    return MapScore(metric, math.nan, n, dict(settings), reason)
