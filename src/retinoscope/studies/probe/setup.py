"""The state that all probes of a run share, and the fitting of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._best import number
from .._executor import Outcome, Rows
from .cases import constant_cases, probe_cases
from .draws import CONSTANT
from .grids import Grids
from .instance_probes import constant_instances, probe_instances
from .labels import LeftOut
from .layers import Layers
from .location_probes import constant_locations, probe_locations
from .rows import Answer
from .sources import Source
from .tasks import TASKS
from .units import ProbeUnit, said_at


@dataclass(frozen=True, eq=False)
class Setup:
    """The sources, grids and features of a run.

    Attributes:
        left_out: what cannot be asked or compared, and why.
        checksums: of all parameters of each source, before probing.
    """

    sources: Mapping[str, Source]
    grids: Grids
    layers: Layers
    left_out: Sequence[LeftOut]
    checksums: Mapping[str, str]

    def outcome(self, unit: ProbeUnit) -> Outcome:
        """Fits and scores one probe; has no rows where the data cannot ask its task."""
        if unit.task not in self.grids.questions.tasks:
            return Outcome(str(unit), [], [])
        answer = self._answer(unit) if unit.source else self._constant(unit)
        arrays: dict[str, np.ndarray] = {}
        if answer.said is not None and unit.shown:
            arrays[said_at(unit.source, unit.layer, unit.task)] = answer.said.astype(np.int16)
        return Outcome(str(unit), self._rows(unit, answer), [], arrays=arrays)

    def _answer(self, unit: ProbeUnit) -> Answer:
        task, grids = TASKS[unit.task], self.grids
        gathered = self.layers.gathered(unit.source, unit.layer)
        if task.scope != "location":
            labelled, split = grids.questions.labelled[task.name], grids.splits[unit.number]
            return probe_cases(task, labelled, gathered, split, unit.labels, grids.seed)
        dense = grids.labels(self.sources[unit.source].of, task.name)
        if task.name == "instances":
            return probe_instances(dense, gathered, unit.number, grids.seed)
        return probe_locations(task, dense, gathered, unit.number, unit.labels, grids.seed)

    def _constant(self, unit: ProbeUnit) -> Answer:
        task, grids = TASKS[unit.task], self.grids
        if task.scope != "location":
            labelled = grids.questions.labelled[task.name]
            return constant_cases(task, labelled, grids.splits[unit.number])
        dense = grids.labels(next(iter(self.sources)), task.name)
        if task.name == "instances":
            return constant_instances(dense)
        return constant_locations(task, dense, unit.number)

    def _rows(self, unit: ProbeUnit, answer: Answer) -> Rows:
        source = self.sources.get(unit.source)
        common: dict[str, Any] = {
            "encoder": unit.source or CONSTANT,
            "kind": CONSTANT if source is None else source.kind,
            "of": None if source is None else source.of,
            **({} if source is None else source.run_columns),
            "place": -1 if source is None else list(self.sources).index(unit.source),
            "layer": unit.layer,
            "depth": -1 if source is None else source.layers.index(unit.layer),
            "task": unit.task,
            "labels": unit.labels,
            "seed": unit.number,
            "head": answer.head,
            "n_parameters": answer.n_parameters,
            "n_train": answer.n_train,
            "strength": answer.strength,
            "val": number(answer.val),
            "converged": answer.converged,
            "n_classes": len(self.grids.questions.classes(unit.task)),
        }
        common |= {f"bound_{name}": value for name, value in answer.bounds.items()}
        images, truths = self._tested(unit), self.grids.data.truths
        rows: list[dict[str, Any]] = [
            {"sample": truths[images[place]].sample, **common, **row} for place, row in answer.rows
        ]
        return rows

    def _tested(self, unit: ProbeUnit) -> list[int]:
        """The images on which the probe is scored."""
        if TASKS[unit.task].scope != "location":
            return self.grids.splits[0].test.tolist()
        encoder = self.sources[unit.source].of if unit.source else next(iter(self.sources))
        return self.grids.plan(encoder).test.tolist()
