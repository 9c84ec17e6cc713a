"""Which finished studies lie in a folder, and which model each is of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

from ..errors import InputError
from ..pocket import MODELS
from ..store import Json
from ..studies import Results, open_results
from ._parts import Record

MANIFEST = "run.json"
DEPTH = 3
STUDIES = ("ablation", "lens", "knockout")


@dataclass(frozen=True)
class StudyRun:
    """One finished study. `place` is its folder relative to the report's, "." for the same."""

    results: Results
    place: str

    @property
    def path(self) -> Path:
        return self.results.path

    @property
    def study(self) -> str:
        return self.results.study

    @property
    def manifest(self) -> dict[str, Json]:
        return self.results.manifest

    @property
    def model(self) -> str:
        """The model's name; the last part of a path."""
        model = self.manifest["model"]
        name = str(model.get("name", "")) if isinstance(model, dict) else str(model)
        return name.rstrip("/").split("/")[-1] if name.startswith(("/", ".")) else name or "model"

    @cached_property
    def summary(self) -> list[Record]:
        return cast("list[Record]", self.results.summary().to_pylist())

    def extra(self, name: str) -> list[Record]:
        """A further summary by name; empty if the study has none of that name."""
        table = self.results.extras().get(name)
        return [] if table is None else cast("list[Record]", table.to_pylist())

    @cached_property
    def n_samples(self) -> int:
        return len(set(self.results.table["sample"].to_pylist()))

    @property
    def seed(self) -> str:
        seeds = self.manifest["seeds"]
        if isinstance(seeds, dict):
            return ", ".join(str(seed) for seed in dict.fromkeys(seeds.values()))
        return str(seeds)


def collect(folder: Path) -> tuple[StudyRun, ...]:
    """The finished studies in `folder` and up to three levels below; the main model's first.

    Raises:
        InputError: `folder` is no folder, holds no run, or holds an unfinished or damaged one.
    """
    if not folder.is_dir():
        raise InputError(
            f"expected a run directory or a folder of them, but {folder} is no folder: "
            "give what a study wrote with --out"
        )
    found = [
        place
        for depth in range(DEPTH + 1)
        for place in sorted(folder.glob("/".join(["*"] * depth + [MANIFEST])))
    ]
    if not found:
        raise InputError(
            f"expected a run directory or a folder of them, but there is no {MANIFEST} in {folder} "
            "or below: give what a study wrote with --out"
        )
    runs = []
    for manifest in found:
        place = manifest.parent
        runs.append(StudyRun(open_results(place), str(place.relative_to(folder))))
    order = model_order(runs)
    return tuple(sorted(runs, key=lambda r: (order.index(r.model), STUDIES.index(r.study))))


def model_order(runs: Sequence[StudyRun]) -> list[str]:
    """Models by how many studies they have, the packaged ones in their own order."""
    count: dict[str, int] = {}
    for run in runs:
        count[run.model] = count.get(run.model, 0) + 1

    def rank(model: str) -> tuple[int, int, str]:
        packaged = MODELS.index(model) if model in MODELS else len(MODELS)
        return (-count[model], packaged, model)

    return sorted(count, key=rank)


def of_study(runs: Sequence[StudyRun], study: str) -> tuple[StudyRun, ...]:
    return tuple(run for run in runs if run.study == study)
