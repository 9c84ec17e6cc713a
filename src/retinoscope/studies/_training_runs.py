"""Models trained several times for one objective: estimates over images and seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from jaxtyping import Float

from ..stats import Interval, over_seeds
from ..store import Scalar
from ._best import interval_columns
from .columns import NUMBER, TEXT, WHOLE, Columns, columns
from .summary import Record

if TYPE_CHECKING:
    from ..encoders import Encoder

Draws = Float[np.ndarray, " draw"]

RUN_COLUMNS: Columns = {"objective": TEXT, "training_seed": WHOLE}
"""The training run of a row's model; empty for a model without one."""
KINDS: Columns = {
    "against": TEXT,
    **columns(NUMBER, "value value_low value_high difference difference_low difference_high paper"),
    **columns(WHOLE, "seeds images"),
    "method_of_interval": TEXT,
}
"""Columns of `compared`, and the paper's number."""


def run_columns(encoder: Encoder) -> dict[str, Scalar]:
    """Returns `RUN_COLUMNS` of an encoder."""
    run = encoder.training
    values = (None, None) if run is None else (run.objective, run.seed)
    return dict(zip(RUN_COLUMNS, values, strict=True))


@dataclass(frozen=True)
class TrainingRuns:
    """A measure of one objective by seed, on the same images.

    Attributes:
        values: by seed, over all images.
        draws: by seed, for each resample of the images.
        images: by seed; runs on other images cannot be compared draw by draw.
    """

    values: Mapping[int, float]
    draws: Mapping[int, Draws]
    images: Mapping[int, frozenset[str]]

    @property
    def n_images(self) -> int:
        """Number of images of all seeds."""
        return len(frozenset().union(*self.images.values()))

    @classmethod
    def of(
        cls, rows: pl.DataFrame, measured: Callable[[pl.DataFrame], tuple[float, Draws]]
    ) -> TrainingRuns:
        """Computes value and draws from each seed's rows by `measured`."""
        runs = rows.partition_by("training_seed", maintain_order=True, as_dict=True)
        results = {seed: measured(some) for (seed,), some in runs.items()}
        values = {seed: value for seed, (value, _) in results.items()}
        draws = {seed: draws for seed, (_, draws) in results.items()}
        images = {seed: frozenset(some["sample"].unique()) for (seed,), some in runs.items()}
        return cls(values, draws, images)

    def interval(self, minus: TrainingRuns | None = None) -> Interval | None:
        """Returns the mean over seeds, or its difference over common seeds; None without seeds.

        Seeds are common to two runs that were measured on the same images."""
        seeds = [
            seed
            for seed in self.values
            if minus is None or self.images[seed] == minus.images.get(seed)
        ]
        if not seeds:
            return None
        values, draws = self._of(seeds)
        other = (0.0, 0.0) if minus is None else minus._of(seeds)
        return over_seeds(values - other[0], draws - other[1], self.n_images)

    def _of(self, seeds: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        draws = np.stack([self.draws[seed] for seed in seeds])
        return np.array([self.values[seed] for seed in seeds]), draws


def compared(
    runs: Mapping[tuple[str, ...], TrainingRuns],
    names: tuple[str, ...],
    reference: Callable[[str], str | None],
) -> Iterator[Record]:
    """Yields a record for each of `runs`: its value and the difference from another objective's.

    Args:
        runs: the runs by key.
        names: the columns of the keys of `runs`; the first is the objective.
        reference: returns the objective with which one is compared.
    """
    for key, run in runs.items():
        interval = run.interval()
        assert interval is not None
        record: Record = dict(zip(names, key, strict=True)) | interval_columns("value", interval)
        against = reference(key[0])
        other = None if against in (None, key[0]) else runs.get((against, *key[1:]))
        if other is not None:
            difference = run.interval(other)
            if difference is not None:
                record |= {"against": against} | interval_columns("difference", difference)
        yield record | {
            "seeds": len(run.values),
            "images": run.n_images,
            "method_of_interval": interval.method,
        }
