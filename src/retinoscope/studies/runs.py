"""The finished studies in a folder, and the model of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

from ..errors import InputError
from ..naming import last_part
from ..pocket import MODELS
from ..report.blocks import Record
from ..report.scene_picture import Scene, scene_of
from ..store import Json, read_manifest
from ._outside import evaluating
from ._results import Results, open_results
from .registry import STUDIES

MANIFEST = "run.json"
DEPTH = 3
NO_STUDIES = ("curation", "mean")
"""Run directories that hold no study; a report skips them."""


@dataclass(frozen=True)
class StudyRun:
    """One finished study.

    `place` is its folder relative to the report's, "." for the same. `label` is the model's name,
    with `place` if one model has several runs of one study.
    """

    results: Results
    place: str
    label: str

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
        return model_name(self.results)

    @cached_property
    def summary(self) -> list[Record]:
        return cast("list[Record]", self.results.summary().to_pylist())

    @cached_property
    def _extras(self) -> dict[str, list[Record]]:
        tables = self.results.extras()
        return {name: cast("list[Record]", table.to_pylist()) for name, table in tables.items()}

    def extra(self, name: str) -> list[Record]:
        """Returns a further summary by name; empty if the study has none of that name."""
        return self._extras.get(name, [])

    def scenes(self) -> list[Scene]:
        """Returns the study's examples that can be drawn."""
        scenes = (scene_of(facts, self.path) for facts in self.results.examples())
        return [scene for scene in scenes if scene]

    @property
    def incomplete(self) -> tuple[int, int]:
        """Number of rows whose integrated gradients do not add up, and of rows with any at all."""
        return self.results.incomplete

    @property
    def n_samples(self) -> int:
        return self.results.n_samples

    @property
    def seed(self) -> str:
        seeds = self.manifest["seeds"]
        if isinstance(seeds, dict):
            return ", ".join(str(seed) for seed in dict.fromkeys(seeds.values()))
        return str(seeds)


def collect(folder: Path) -> tuple[StudyRun, ...]:
    """Returns the finished studies in `folder` and up to three levels below, main model first.

    Raises:
        InputError: `folder` is not a folder, holds no run, or holds an unfinished or damaged one.
    """
    with evaluating(folder):
        return _found(folder)


def _found(folder: Path) -> tuple[StudyRun, ...]:
    if not folder.is_dir():
        raise InputError(
            f"expected a run directory or a folder of them, but {folder} is not a folder: "
            "give what a study wrote with --out"
        )
    manifests = [
        place
        for depth in range(DEPTH + 1)
        for place in sorted(folder.glob("/".join(["*"] * depth + [MANIFEST])))
    ]
    if not manifests:
        raise InputError(
            f"expected a run directory or a folder of them, but there is no {MANIFEST} in {folder} "
            "or below: give what a study wrote with --out"
        )
    manifests = [
        place for place in manifests if read_manifest(place.parent)["study"] not in NO_STUDIES
    ]
    if not manifests:
        raise InputError(f"expected a finished study in {folder}, but there is none")
    results = [open_results(manifest.parent) for manifest in manifests]
    places = [str(manifest.parent.relative_to(folder)) for manifest in manifests]
    count = Counter((r.study, model_name(r)) for r in results)
    runs = [
        StudyRun(r, place, _label(r, place, count[r.study, model_name(r)]))
        for r, place in zip(results, places, strict=True)
    ]
    order = model_order(runs)
    studies = list(STUDIES)
    return tuple(sorted(runs, key=lambda r: (order.index(r.model), studies.index(r.study))))


def model_name(results: Results) -> str:
    """Returns the model's name as given; of a path, its last part."""
    model = results.manifest["model"]
    name = str(model.get("name", "")) if isinstance(model, dict) else str(model)
    return last_part(name) or "model"


def _label(results: Results, place: str, n: int) -> str:
    name = model_name(results)
    return name if n == 1 else f"{name} ({place})"


def model_order(runs: Sequence[StudyRun]) -> list[str]:
    """Returns models by their number of studies, the packaged ones in their own order."""
    count: dict[str, int] = {}
    for run in runs:
        count[run.model] = count.get(run.model, 0) + 1

    def rank(model: str) -> tuple[int, int, str]:
        packaged = MODELS.index(model) if model in MODELS else len(MODELS)
        return (-count[model], packaged, model)

    return sorted(count, key=rank)


def of_study(runs: Sequence[StudyRun], study: str) -> tuple[StudyRun, ...]:
    return tuple(run for run in runs if run.study == study)
