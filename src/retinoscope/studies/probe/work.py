"""One session of a run: probe after probe, each written as it is finished."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from ...encoders import cached_features
from ...errors import MissingExtraError, StudyError
from ...naming import slugify
from ...store import RunDirectory
from .._models import Unchanged
from .._study import Progress
from .._tables import number
from .cases import Labels, constant_cases, probe_cases
from .draws import CONSTANT
from .gather import Gathered, Plan, gather, plan_of
from .heads import projection
from .labels import LeftOut
from .maps import write_maps
from .places import Ground, constant_places, probe_instances, probe_places
from .questions import Questions
from .read import Data
from .rows import Answer
from .sources import PIXELS, CachedLayer, Layer, PixelLayer, Source
from .split import Split
from .tasks import TASKS

FACTS = "probe.json"
_WORKERS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True)
class Unit:
    """One probe; without a source the constant answer."""

    source: Source | None
    layer: str
    task: str
    labels: Labels
    number: int

    @property
    def title(self) -> str:
        own = CONSTANT if self.source is None else f"{self.source.name} {self.layer}"
        extra = "" if self.labels == "true" else f", {self.labels} labels"
        return f"{own}: {self.task}{extra}, seed {self.number}"


@dataclass(frozen=True)
class Settings:
    """Options of the study that its work needs."""

    seed: int
    locations: int
    dense_images: int
    cache: str | Path | None
    precision: Literal["float16", "float32"]
    n_examples: int


@dataclass(eq=False)
class Work:
    """What is left to do in a run directory, and what it needs.

    Attributes:
        keys: all units in their order, each with its key.
    """

    directory: RunDirectory
    data: Data
    splits: tuple[Split, ...]
    questions: Questions
    left_out: Sequence[LeftOut]
    keys: Mapping[Unit, str]
    settings: Settings
    tell: Progress
    unchanged: Unchanged
    _plans: dict[str, Plan] = field(default_factory=dict)
    _grounds: dict[tuple[str, str], Ground] = field(default_factory=dict)
    _widths: dict[str, dict[str, int]] = field(default_factory=dict)

    def run(self) -> None:
        """Does it.

        Raises:
            InputError: features that cannot be used.
            StudyError: an encoder's parameters changed, or the disk is full.
        """
        waiting = [unit for unit, key in self.keys.items() if key not in self.directory]
        self._done = len(self.keys) - len(waiting)
        for unit in waiting:
            if unit.source is None:
                self._write(unit, self._constant(unit))
        for source in self._sources:
            own = [unit for unit in waiting if unit.source is source]
            if own:
                self._probe(source, own)
        self._write_facts()
        self._write_maps()

    @cached_property
    def _sources(self) -> tuple[Source, ...]:
        found = dict.fromkeys(unit.source for unit in self.keys)
        return tuple(source for source in found if source is not None)

    def _probe(self, source: Source, units: Sequence[Unit]) -> None:
        before = source.encoder.checksum()
        layers = self._layers(source)
        for name in source.layers:
            own = [unit for unit in units if unit.layer == name]
            if own:
                self._tell(f"{source.name} {name}")
                found = self._gathered(source, name, layers[name])
                for unit, answer in self._answers(own, source, found):
                    self._write(unit, answer)
        after = source.encoder.checksum()
        if before != after:
            raise StudyError(f"the parameters of {source.name} changed while they were probed")
        facts = json.dumps({"before": before, "after": after}) + "\n"
        self.directory.write_file(f"checksums/{_slug(source.name)}.json", facts.encode())

    def _answers(
        self, units: Sequence[Unit], source: Source, found: Gathered
    ) -> Iterator[tuple[Unit, Answer]]:
        """Probes of one layer, several at a time, in their order."""
        try:
            # scikit-learn brings it.
            from threadpoolctl import threadpool_limits
        except ImportError:
            raise MissingExtraError("scikit-learn", "probe") from None
        self._prepare(source)
        # Probes side by side, each with a thread of its own, use the cores better than one by one.
        with (
            warnings.catch_warnings(),
            threadpool_limits(1),
            ThreadPoolExecutor(_WORKERS) as pool,
        ):
            # Whether it converged is recorded.
            warnings.filterwarnings("ignore", "lbfgs failed to converge")
            waiting = [pool.submit(self._answer, unit, source, found) for unit in units]
            try:
                for unit, one in zip(units, waiting, strict=True):
                    yield unit, one.result()
            finally:
                for one in waiting:
                    one.cancel()

    def _prepare(self, source: Source) -> None:
        """What probes share, made before they run side by side."""
        for task in self.questions.dense:
            ground = self._ground(source.of, task)
            _ = ground.test
            for image in self.data.truths:
                ground.labels(image)

    def _tell(self, what: str) -> None:
        self.tell(self._done, len(self.keys), what)

    def _layers(self, source: Source) -> dict[str, Layer]:
        if source.kind == "pixels":
            return {PIXELS: PixelLayer(self.data.images, self._boxes(source))}
        n = len(self.data.images)
        cached = cached_features(
            source.encoder,
            self.data.images,
            source.layers,
            self.settings.cache or self.directory.path / "features",
            precision=self.settings.precision,
            progress=lambda done, total: self.tell(done, n, f"features of {source.name}"),
        )
        return {name: CachedLayer.of(cached, name) for name in source.layers}

    def _gathered(self, source: Source, name: str, layer: Layer) -> Gathered:
        matrix = projection(self._width_of(source)[name], self.width, self.settings.seed)
        return gather(
            layer,
            self.data.truths,
            self.data.located[source.of],
            self._plan(source.of),
            matrix,
            f"{source.name} {name}",
        )

    @cached_property
    def width(self) -> int:
        """What all features are brought to: the narrowest layer's."""
        own = [source for source in self._sources if source.kind == "encoder"]
        return min(width for source in own for width in self._width_of(source).values())

    def _width_of(self, source: Source) -> dict[str, int]:
        if source.name not in self._widths:
            if source.kind == "pixels":
                found = {PIXELS: PixelLayer(self.data.images, self._boxes(source))[0].shape[1]}
            else:
                first = source.encoder.features(self.data.images[0], source.layers)
                found = {name: int(values.shape[1]) for name, values in first.layers.items()}
            self._widths[source.name] = found
        return self._widths[source.name]

    def _plan(self, encoder: str) -> Plan:
        if encoder not in self._plans:
            located = self.data.located[encoder]
            known = next((k for k in self._plans if self.data.located[k][0] is located[0]), None)
            self._plans[encoder] = (
                plan_of(
                    located,
                    self.splits,
                    self.settings.locations,
                    self.settings.dense_images,
                    self.settings.seed,
                )
                if known is None
                else self._plans[known]
            )
        return self._plans[encoder]

    def _boxes(self, source: Source) -> Mapping[tuple[int, int], Float[np.ndarray, "n 4"]]:
        return self.data.boxes[source.of]

    def _ground(self, encoder: str, task: str) -> Ground:
        if (encoder, task) not in self._grounds:
            located = self.data.located[encoder]
            known = next(
                (
                    ground
                    for (other, name), ground in self._grounds.items()
                    if name == task and self.data.located[other][0] is located[0]
                ),
                None,
            )
            if known is None:
                classes, relabel = self.questions.dense[task]
                known = Ground(
                    classes,
                    relabel,
                    self.data.truths,
                    located,
                    self._plan(encoder),
                    self.data.boxes[encoder],
                )
            self._grounds[encoder, task] = known
        return self._grounds[encoder, task]

    def _constant(self, unit: Unit) -> Answer:
        task = TASKS[unit.task]
        if task.scope != "location":
            return constant_cases(
                task, self.questions.labelled[task.name], self.splits[unit.number]
            )
        return constant_places(task, self._ground(self._sources[0].name, task.name), unit.number)

    def _answer(self, unit: Unit, source: Source, gathered: Gathered) -> Answer:
        task, seed = TASKS[unit.task], self.settings.seed
        if task.scope != "location":
            return probe_cases(
                task,
                self.questions.labelled[task.name],
                gathered,
                self.splits[unit.number],
                unit.labels,
                seed,
            )
        ground = self._ground(source.of, task.name)
        if task.name == "instances":
            return probe_instances(ground, gathered, unit.number, seed)
        return probe_places(task, ground, gathered, unit.number, unit.labels, seed)

    def _write(self, unit: Unit, answer: Answer) -> None:
        source = unit.source
        common = {
            "error": None,
            "encoder": CONSTANT if source is None else source.name,
            "kind": CONSTANT if source is None else source.kind,
            "of": None if source is None else source.of,
            "place": -1 if source is None else self._sources.index(source),
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
            "n_classes": len(self.questions.classes(unit.task)),
        }
        images = self._tested(unit)
        bounds = {f"bound_{name}": value for name, value in answer.bounds.items()}
        rows = [
            {"sample": self.data.truths[images[place]].sample, **common, **row, **bounds}
            for place, row in answer.rows
        ]
        if answer.said is not None and unit.number == 0 and unit.labels == "true":
            assert source is not None
            self.directory.write_tensors(
                _said(source, unit.layer, unit.task),
                {"said": answer.said.astype(np.int16)},
            )
        self.unchanged.check()
        self.directory.write(self.keys[unit], rows)
        self._done += 1
        self._tell(unit.title)

    def _tested(self, unit: Unit) -> list[int]:
        if TASKS[unit.task].scope != "location":
            return self.splits[0].test.tolist()
        encoder = self._sources[0].name if unit.source is None else unit.source.of
        return self._plan(encoder).test.tolist()

    def _write_facts(self) -> None:
        split = self.splits[0]
        encoders = []
        for source in self._sources:
            file = self.directory.path / "checksums" / f"{_slug(source.name)}.json"
            encoders.append(
                {
                    "name": source.name,
                    "kind": source.kind,
                    "of": source.of,
                    "fingerprint": source.fingerprint,
                    "n_parameters": source.encoder.n_parameters if source.kind != "pixels" else 0,
                    "layers": dict(self._width_of(source)),
                    "checksum": json.loads(file.read_text("utf-8")),
                }
            )
        facts = {
            "tasks": {task: list(self.questions.classes(task)) for task in self.questions.tasks},
            "left_out": [asdict(one) for one in self.left_out],
            "images": {
                "train": len(split.train),
                "val": len(split.val),
                "test": len(split.test),
                "dense_test": len(self._plan(self._sources[0].name).test),
            },
            "width": self.width,
            "encoders": encoders,
        }
        text = json.dumps(facts, ensure_ascii=False, indent=1) + "\n"
        self.directory.write_file(FACTS, text.encode("utf-8"))

    def _write_maps(self) -> None:
        own = [source for source in self._sources if source.kind == "encoder"]
        grounds = {
            (source.name, task): self._ground(source.name, task)
            for source in own
            for task in self.questions.dense
        }

        def said(source: Source, layer: str, task: str) -> np.ndarray:
            return self.directory.read_tensors(_said(source, layer, task))["said"].astype(np.int64)

        write_maps(self.directory, self.data, grounds, own, said, self.settings.n_examples)


def _said(source: Source, layer: str, task: str) -> str:
    return f"said/{_slug(source.name)}/{layer}/{task}"


def _slug(name: str) -> str:
    """A name as a part of a path."""
    return slugify(name) or "encoder"
