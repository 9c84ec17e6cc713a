"""The table of the comparison: every arm's shares, and its differences from equal-sized arms."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float

from ...errors import InputError
from ...stats import Interval, over_seeds, resampled_ratio
from ._world import SMALL_RADIUS

_POLLING = pl.col("kind") == "polling"
_NO, _YES = pl.col("expected") == "no", pl.col("said") == "yes"
_SMALL = pl.col("radius") <= SMALL_RADIUS
_RIGHT = pl.col("right")


@dataclass(frozen=True)
class Measure:
    """A share of rows.

    Attributes:
        title: as a table's column says it.
        of: the rows that it is a share of.
        hit: those that count.
    """

    title: str
    of: pl.Expr
    hit: pl.Expr = _RIGHT


def _kind(name: str) -> pl.Expr:
    return pl.col("kind") == name


MEASURES: dict[str, Measure] = {
    "present": Measure("yes on present kinds", _POLLING & ~_NO, _YES),
    "present-small": Measure("yes on present kinds, small objects", _POLLING & _SMALL, _YES),
    "absent": Measure("yes on absent kinds", _POLLING & _NO, _YES),
    "absent-adversarial": Measure(
        "yes on absent kinds that belong here", _kind("polling-adversarial") & _NO, _YES
    ),
    "color": Measure("colour given the kind", _kind("color")),
    "kind": Measure("kind given the colour", _kind("kind")),
    "position": Measure("position", _kind("position")),
    "relation": Measure("relation", _kind("relation")),
    "count": Measure("count", pl.col("kind").is_in(["count", "count-color", "count-kind"])),
    "twin-color": Measure("colour of one of two alike", _kind("twin-color")),
    "caption-recall": Measure("kinds named in captions", _kind("caption-recall")),
    "caption-recall-small": Measure(
        "kinds named in captions, small objects", _kind("caption-recall") & _SMALL
    ),
    "caption-precision": Measure("named kinds that are there", _kind("caption-precision")),
}
"""Name -> what is measured, in the order of the table."""


@dataclass(frozen=True, eq=False)
class ArmResult:
    """One arm with one seed.

    Attributes:
        facts: recipe, size, seconds and whatever else its training said.
        rows: its answers, as `train_interfaces` wrote them.
    """

    name: str
    seed: int
    facts: Mapping[str, Any]
    rows: pl.DataFrame

    @property
    def n_scenes(self) -> int:
        """The number of held-out scenes."""
        return int(self.facts["recipe"]["held_out"])

    @cached_property
    def _sums(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        n_scenes, sums = self.n_scenes, {}
        for name, measure in MEASURES.items():
            chosen = self.rows.filter(measure.of)
            scenes = chosen["scene"].to_numpy()
            hits = chosen.select(measure.hit.cast(pl.Float64)).to_series().to_numpy()
            sums[name] = (
                np.bincount(scenes, hits, n_scenes),
                np.bincount(scenes, minlength=n_scenes).astype(float),
            )
        return sums

    def share(self, measure: str) -> float:
        """The share over all scenes."""
        hits, rows = self._sums[measure]
        return float(hits.sum() / rows.sum()) if rows.sum() else float("nan")

    def draws(self, measure: str) -> Float[np.ndarray, " draw"]:
        """The share in resamples of the scenes, the same ones for every arm and seed."""
        hits, rows = self._sums[measure]
        return resampled_ratio(hits, rows, np.arange(len(rows)))


class Comparison:
    """The results of all arms in a folder."""

    def __init__(self, results: Iterable[ArmResult]) -> None:
        self._by_arm: dict[str, dict[int, ArmResult]] = {}
        for result in results:
            self._by_arm.setdefault(result.name, {})[result.seed] = result

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms with results."""
        return tuple(self._by_arm)

    def results(self, arm: str) -> Sequence[ArmResult]:
        """One arm's results, by seed."""
        if arm not in self._by_arm:
            raise InputError(f"expected an arm of {', '.join(self.arms)}, got {arm!r}")
        return [result for _, result in sorted(self._by_arm[arm].items())]

    def share(self, arm: str, measure: str) -> Interval:
        """The mean over seeds, with an interval over scenes and seeds."""
        results = self.results(arm)
        values = np.array([result.share(measure) for result in results])
        draws = np.stack([result.draws(measure) for result in results])
        return over_seeds(values, draws, results[0].n_scenes)

    def difference(self, arm: str, other: str, measure: str) -> Interval:
        """The mean of `arm` - `other` over the seeds that both have, on the same scenes."""
        first, second = ({r.seed: r for r in self.results(name)} for name in (arm, other))
        seeds = sorted(first.keys() & second.keys())
        if not seeds:
            raise InputError(f"expected a seed that {arm} and {other} share, got none")
        values = np.array([first[s].share(measure) - second[s].share(measure) for s in seeds])
        draws = np.stack([first[s].draws(measure) - second[s].draws(measure) for s in seeds])
        return over_seeds(values, draws, first[seeds[0]].n_scenes)


def read_comparison(folder: Path) -> Comparison:
    """Reads the results that `train_interfaces` wrote.

    Raises:
        InputError: a folder without results.
    """
    files = sorted(folder.glob("*-*.json"))
    if not files:
        raise InputError(
            f"{folder}: expected results of `retinoscope train interface`, got none: give its --out"
        )
    results = []
    for file in files:
        facts = json.loads(file.read_text("utf-8"))
        rows = pl.read_parquet(file.with_suffix(".parquet"))
        results.append(ArmResult(facts["arm"], int(facts["seed"]), facts, rows))
    return Comparison(results)
