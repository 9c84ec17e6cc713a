"""The results of trained arms: shares, and differences from arms of their size."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float

from ...errors import InputError
from ...stats import Interval, over_seeds, resampled_ratio

ALL = pl.int_range(pl.len()) >= 0
"""True for every row."""
_RIGHT = pl.col("right")


@dataclass(frozen=True, eq=False)
class Measure:
    """A share of rows, or a mean over them.

    Attributes:
        title: as a table's column says it.
        of: the rows that it is a share of.
        hit: those that count, or by how much each of them does.
        per: how much each row adds to the denominator.
        table: the rows' table, as `measurements` names it; the answers if empty.
    """

    title: str
    of: pl.Expr = ALL
    hit: pl.Expr = _RIGHT
    per: pl.Expr = ALL
    table: str = ""


def means(table: str, titles: Mapping[str, str]) -> dict[str, Measure]:
    """The means of a table's columns."""
    return {name: Measure(of, hit=pl.col(name), table=table) for name, of in titles.items()}


@dataclass(frozen=True, eq=False)
class ArmResult:
    """One arm with one seed.

    Attributes:
        facts: recipe, size, seconds and whatever else its training said.
        tables: its answers ("") and what else was measured, by name, as the training wrote them.
        unit: the column that says which image a row is about; images are resampled.
    """

    name: str
    seed: int
    facts: Mapping[str, Any]
    tables: Mapping[str, pl.DataFrame]
    unit: str = "scene"

    @property
    def n_units(self) -> int:
        """The number of held-out images."""
        return int(self.facts["recipe"]["held_out"])

    def share(self, measure: Measure) -> float:
        """The share over all images."""
        hits, rows = self._sums(measure)
        return float(hits.sum() / rows.sum()) if rows.sum() else float("nan")

    def draws(self, measure: Measure, n: int = 1000) -> Float[np.ndarray, " draw"]:
        """The share in resamples of the images, the same ones for every arm and seed."""
        hits, rows = self._sums(measure)
        return resampled_ratio(hits, rows, np.arange(len(rows)), n)

    def _sums(self, measure: Measure) -> tuple[np.ndarray, np.ndarray]:
        """Per image: what counts, and of how much."""
        sums = (
            self.tables[measure.table]
            .filter(measure.of)
            .group_by(self.unit)
            .agg(hit=measure.hit.cast(pl.Float64).sum(), per=measure.per.cast(pl.Float64).sum())
        )
        hits, rows = np.zeros(self.n_units), np.zeros(self.n_units)
        hits[sums[self.unit]], rows[sums[self.unit]] = sums["hit"], sums["per"]
        return hits, rows


class Comparison:
    """The results of all arms.

    Args:
        results: one for each arm and seed.
        folder: where they were read.
    """

    def __init__(self, results: Iterable[ArmResult], folder: Path = Path()) -> None:
        self.folder = folder
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

    def share(self, arm: str, measure: Measure) -> Interval:
        """The mean over seeds, with an interval over images and seeds."""
        results = self.results(arm)
        values = np.array([result.share(measure) for result in results])
        draws = np.stack([result.draws(measure) for result in results])
        return over_seeds(values, draws, results[0].n_units)

    def shared_seeds(self, arm: str, other: str) -> Sequence[int]:
        """The seeds that both have results of; none if one of them has no results."""
        return sorted(self._by_arm.get(arm, {}).keys() & self._by_arm.get(other, {}).keys())

    def difference(
        self,
        arm: str,
        other: str,
        measure: Measure,
        control: Measure | None = None,
        level: float = 0.95,
        n_resamples: int = 1000,
    ) -> Interval:
        """The mean of `arm` - `other` over the seeds that both have, on the same images.

        Args:
            measure: of `arm`.
            control: of `other`; the same by default.
            level, n_resamples: of the interval.
        """
        control = control or measure
        seeds = self.shared_seeds(arm, other)
        if not seeds:
            raise InputError(f"expected a seed that {arm} and {other} share, got none")
        first, second = (self._by_arm[name] for name in (arm, other))
        values = [first[s].share(measure) - second[s].share(control) for s in seeds]
        draws = [
            first[s].draws(measure, n_resamples) - second[s].draws(control, n_resamples)
            for s in seeds
        ]
        n_units = first[seeds[0]].n_units
        return over_seeds(np.array(values), np.stack(draws), n_units, level=level)


def read_comparison(folder: Path, unit: str = "scene") -> Comparison:
    """Reads the results that `retinoscope train interface` or `train reader` wrote.

    Args:
        folder: their --out.
        unit: see `ArmResult`.

    Raises:
        InputError: a folder without results.
    """
    files = sorted(folder.glob("*-*.json"))
    if not files:
        raise InputError(
            f"{folder}: expected results of `retinoscope train interface` or `train reader`, got "
            "none: give its --out"
        )
    results = []
    for file in files:
        facts = json.loads(file.read_text("utf-8"))
        tables = {
            path.stem.removeprefix(file.stem).removeprefix("-"): pl.read_parquet(path)
            for path in sorted(folder.glob(f"{file.stem}*.parquet"))
        }
        results.append(ArmResult(facts["arm"], int(facts["seed"]), facts, tables, unit))
    return Comparison(results, folder)
