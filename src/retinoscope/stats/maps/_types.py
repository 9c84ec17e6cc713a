"""The result of comparing two maps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class MapScore:
    """One comparison of a map with a reference.

    Attributes:
        metric: its name, as in `METRICS`.
        value: NaN where it is undefined, with `reason` saying why.
        n: how many fixations, or else pixels (of a distance: cells), went in.
        settings: whatever a reader needs to get the same number again: repeated fixations, what was
            done to negative values, a resizing.
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
    """A score that is undefined, with the reason."""
    return MapScore(metric, math.nan, n, dict(settings), reason)
