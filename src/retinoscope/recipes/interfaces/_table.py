"""The table of the comparison: every arm's shares, and its differences from equal-sized arms."""

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
from ._world import SMALL_RADIUS

_POLLING = pl.col("kind") == "polling"
_NO, _YES = pl.col("expected") == "no", pl.col("said") == "yes"
_SMALL = pl.col("radius") <= SMALL_RADIUS
_RIGHT = pl.col("right")
_ALL = pl.col("scene").is_not_null()


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
    of: pl.Expr = _ALL
    hit: pl.Expr = _RIGHT
    per: pl.Expr = _ALL
    table: str = ""


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
    "caption-recall": Measure("objects named in captions", _kind("caption-recall")),
    "caption-recall-small": Measure(
        "small objects named in captions", _kind("caption-recall") & _SMALL
    ),
    "caption-precision": Measure("names in captions that are there", _kind("caption-precision")),
}
"""Name -> what is measured, in the order of the table."""


def _said(name: str, title: str, there: pl.Expr, reported: pl.Expr) -> Measure:
    of = there & reported & (pl.col("kind") == "polling")
    return Measure(title, of, pl.col("said") == name, table="reports")


_REPORTED = pl.col("reported")

OF_REFINERS: dict[str, Measure] = {
    "recall": Measure("objects found", hit=pl.col("found"), table="finds"),
    "recall-small": Measure(
        "small objects found", pl.col("small"), hit=pl.col("found"), table="finds"
    ),
    "precision": Measure(
        "found objects that are there",
        hit=pl.col("found"),
        per=pl.col("reported"),
        table="finds",
    ),
    "yes-to-false": _said("yes", "yes on absent kinds that were found", _NO, _REPORTED),
    "yes-to-absent": _said("yes", "yes on absent kinds that were not found", _NO, ~_REPORTED),
    "no-to-missed": _said("no", "no on present kinds that were not found", ~_NO, ~_REPORTED),
    "no-to-found": _said("no", "no on present kinds that were found", ~_NO, _REPORTED),
}
"""What refiners find, and how often their errors are answered."""

_IMAGE = pl.col("query") == "image"

OF_RETRIEVAL: dict[str, Measure] = {
    "caption-contrast": Measure(
        "caption of an image, by contrast", _IMAGE, pl.col("contrast_right"), table="retrieval"
    ),
    "caption": Measure("caption of an image, ranked anew", _IMAGE, table="retrieval"),
    "image-contrast": Measure(
        "image of a caption, by contrast", ~_IMAGE, pl.col("contrast_right"), table="retrieval"
    ),
    "image": Measure("image of a caption, ranked anew", ~_IMAGE, table="retrieval"),
}
"""How often the first of all held-out scenes is the right one."""


def _means(table: str, titles: Mapping[str, str]) -> dict[str, Measure]:
    """The means of a table's columns."""
    return {name: Measure(of, hit=pl.col(name), table=table) for name, of in titles.items()}


OF_ATTENTION = _means(
    "attention",
    {
        "inside": "on the objects of its scene",
        "chance": "the area that they cover",
        "inside_another": "on the objects of another scene",
        "chance_another": "the area that those cover",
    },
)
"""Shares of the attention of the text's global token."""

OF_RECONSTRUCTION = _means(
    "reconstruction",
    {
        "own": "with its own queries",
        "other": "with another scene's queries",
        "alone": "by the masked autoencoder alone",
    },
)
"""Squared error on hidden patches, as a share of the variance of all pixels."""


def of_completion(modality: str, ratio: float, partner: str) -> Measure:
    """How often the scene's own token is the nearest of all to that of its masked image or text.

    Args:
        modality: "image" or "text", the one that is masked.
        ratio: of its patches or words that are hidden.
        partner: the other modality, of the "same" scene or of "another".
    """
    of = (
        (pl.col("modality") == modality)
        & ((pl.col("ratio") - ratio).abs() < 1e-6)
        & (pl.col("partner") == partner)
    )
    return Measure(f"{100 * ratio:.0f}%", of, table="completion")


@dataclass(frozen=True, eq=False)
class ArmResult:
    """One arm with one seed.

    Attributes:
        facts: recipe, size, seconds and whatever else its training said.
        tables: its answers ("") and what else was measured, by name, as `train_interfaces` wrote
            them.
    """

    name: str
    seed: int
    facts: Mapping[str, Any]
    tables: Mapping[str, pl.DataFrame]

    @property
    def n_scenes(self) -> int:
        """The number of held-out scenes."""
        return int(self.facts["recipe"]["held_out"])

    def share(self, measure: Measure) -> float:
        """The share over all scenes."""
        hits, rows = self._sums(measure)
        return float(hits.sum() / rows.sum()) if rows.sum() else float("nan")

    def draws(self, measure: Measure, n: int = 1000) -> Float[np.ndarray, " draw"]:
        """The share in resamples of the scenes, the same ones for every arm and seed."""
        hits, rows = self._sums(measure)
        return resampled_ratio(hits, rows, np.arange(len(rows)), n)

    def _sums(self, measure: Measure) -> tuple[np.ndarray, np.ndarray]:
        """Per scene: what counts, and of how much."""
        sums = (
            self.tables[measure.table]
            .filter(measure.of)
            .group_by("scene")
            .agg(hit=measure.hit.cast(pl.Float64).sum(), per=measure.per.cast(pl.Float64).sum())
        )
        hits, rows = np.zeros(self.n_scenes), np.zeros(self.n_scenes)
        hits[sums["scene"]], rows[sums["scene"]] = sums["hit"], sums["per"]
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
        """The mean over seeds, with an interval over scenes and seeds."""
        results = self.results(arm)
        values = np.array([result.share(measure) for result in results])
        draws = np.stack([result.draws(measure) for result in results])
        return over_seeds(values, draws, results[0].n_scenes)

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
        """The mean of `arm` - `other` over the seeds that both have, on the same scenes.

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
        n_scenes = first[seeds[0]].n_scenes
        return over_seeds(np.array(values), np.stack(draws), n_scenes, level=level)


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
        tables = {
            path.stem.removeprefix(file.stem).removeprefix("-"): pl.read_parquet(path)
            for path in sorted(folder.glob(f"{file.stem}*.parquet"))
        }
        results.append(ArmResult(facts["arm"], int(facts["seed"]), facts, tables))
    return Comparison(results, folder)
