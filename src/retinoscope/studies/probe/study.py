"""What is where: frozen layers, probed for what is shown and for where it is.

Follows Li et al. 2022, "Localization vs. Semantics" (arXiv 2212.00281), as far as it is known:
frozen encoders, light heads, tasks that need names and tasks that need places. None of its numbers
could be verified, and none is given.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, Literal, Self
from weakref import WeakKeyDictionary

from ...data import Sample
from ...encoders import check_unseen
from ...errors import InputError, StudyError, require
from ...store import RunDirectory
from .._executor import Example, Outcome, Rows, Tell, Unit
from .._models import open_subject
from .._needs import Need
from .._readable import Prints, Readable
from .._study import Limits, Study
from .facts import FACTS, facts_of
from .grids import Grids
from .labels import LeftOut
from .layers import Layers
from .maps import write_maps
from .options import ProbeOptions
from .questions import questions_of
from .read import read_data
from .setup import Setup
from .sources import Source, baselines_of, checksums_of, sources_of
from .split import splits_of
from .summary import COLUMNS
from .tasks import TASKS
from .truth import check_masks, truth_of
from .units import ProbeUnit, units_of

_THREADS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True, eq=False, kw_only=True)
class Probe(Study[Setup]):
    """Probes frozen encoders on equal terms.

    Every task (`TASKS`) is answered by a light head on one layer: linear, or with one hidden layer
    for instances. All heads of a task have one size: features wider than the narrowest layer are
    brought to its width by a fixed random matrix. Features are scaled by the training images; the
    penalty is selected on the validation images, from the same values everywhere; the test images
    are scored once. Each probe seed divides the other images into training and validation anew and
    draws locations and initial weights; the test images are the same for all.

    Each encoder has controls: the same architecture with random weights (the last layer of each
    part) and the raw pixels of its locations, both with the first probe seed only; the constant
    answer; the best that one answer per location can reach; control labels (a random label for each
    kind of case, Hewitt and Liang 2019, arXiv 1909.03368; undefined where all cases get the same)
    and shuffled labels, first seed only. The encoder's parameters are compared before and after.

    Each probe (encoder, layer, task, labels, seed) is written as soon as it is finished.

    Args:
        vlm: a VLM, a contrastive model or an encoder, or the name of one.
        encoders: further models, compared on the same samples.
        tasks: names of `TASKS`; those that the data cannot ask are left out and listed.
        layers: layer names, used wherever an encoder has them; by default the first, the middle and
            the last of each of its parts.
        seeds: number of probe seeds.
        classes: names of objects to ask about; by default all that occur.
        most_classes: keep only this many names, the most frequent ones.
        controls: also the encoder with random weights, raw pixels, control and shuffled labels.
        locations: limit on the locations that train a dense task.
        dense_images: limit on the test images scored in dense tasks.
        cache: folder for features; by default in the run directory.
        precision: of the stored features.
    """

    encoders: tuple[Any, ...] = ()
    tasks: tuple[str, ...] = tuple(TASKS)
    layers: tuple[str, ...] | None = None
    seeds: int = 3
    classes: tuple[str, ...] | None = None
    most_classes: int = 100
    controls: bool = True
    locations: int = 6000
    dense_images: int = 400
    cache: str | Path | None = None
    precision: Literal["float16", "float32"] = "float16"

    name: ClassVar[str] = "probe"
    opens: ClassVar[bool] = True
    intervenes: ClassVar[bool] = False
    what: ClassVar[str] = "probes or images"
    needs: ClassVar[str] = "objects"
    uses: ClassVar[tuple[Need, ...]] = (Need("objects", "objects", "probes of objects"),)
    limits: ClassVar[Limits] = {
        "seeds": (1, None),
        "locations": (100, None),
        "dense_images": (2, None),
        "most_classes": (2, None),
    }
    schema: ClassVar[int] = 3
    columns: ClassVar[tuple[str, ...]] = tuple(COLUMNS)

    def _check(self) -> None:
        require("sklearn", "scikit-learn", "probe")
        for task in self.tasks:
            if task not in TASKS:
                raise InputError(f"expected tasks of {', '.join(TASKS)}, got {task!r}")
        if not self.tasks or len(set(self.tasks)) < len(self.tasks):
            raise InputError(f"expected different tasks, at least one, got {list(self.tasks)}")

    def _given(self) -> Sequence[object]:
        return (self.vlm, *self.encoders)

    def _check_model(self) -> None:
        check_unseen((source.encoder.name for source in self._sources), self.samples)

    def _placed(self, out: Path) -> Self:
        placed = replace(self, cache=out / "features") if self.cache is None else self
        # Models are opened only once.
        object.__setattr__(placed, "_models", self._models)
        object.__setattr__(placed, "_sources", self._sources)
        return placed

    def studied(self) -> Sequence[Any]:
        return self._models

    @cached_property
    def _models(self) -> tuple[Any, ...]:
        opened = [open_subject(model) for model in self._given()]
        # A VLM keeps its own fingerprint, so that the microscope recognises it.
        return tuple(getattr(model, "vlm", model) for model in opened)

    @cached_property
    def _sources(self) -> tuple[Source, ...]:
        return sources_of(self._models, self.layers)

    @cached_property
    def _baselines(self) -> tuple[tuple[Source, ...], tuple[LeftOut, ...]]:
        return baselines_of(self._sources, self.seed) if self.controls else ((), ())

    @cached_property
    def _by_name(self) -> dict[str, Source]:
        return {source.name: source for source in (*self._sources, *self._baselines[0])}

    def asks(self, sample: Sample) -> Mapping[str, int]:
        check_masks(sample)
        return {"objects": len(sample.objects)}

    def units(self, prints: Prints) -> Sequence[Unit]:
        asked = [task for task in TASKS if task in self.tasks]
        probes = units_of(list(self._by_name.values()), asked, self.seeds, self.controls)
        return [*probes, *prints.unreadable]

    def _parameters(self) -> dict[str, object]:
        names = ("tasks", "seeds", "classes", "most_classes", "controls", "locations")
        parameters: dict[str, object] = {name: getattr(self, name) for name in names}
        parameters |= {"dense_images": self.dense_images, "precision": self.precision}
        parameters["encoders"] = [
            [source.name, source.fingerprint, source.layers] for source in self._sources
        ]
        return parameters

    def _depends_on(self, index: Any, prints: Sequence[str], data: str) -> object:
        source = self._by_name.get(index.source) if isinstance(index, ProbeUnit) else None
        return [data, None if source is None else source.fingerprint]

    def context(self, readable: Readable, measured: Any) -> Setup:
        if readable not in self._setups:
            self._setups[readable] = self._setup(readable)
        return self._setups[readable]

    @cached_property
    def _setups(self) -> WeakKeyDictionary[Readable, Setup]:
        """Setups by data; finishing a run needs its setup again."""
        return WeakKeyDictionary()

    def _setup(self, readable: Readable) -> Setup:
        data = read_data(readable, {source.name: source.boxes for source in self._sources})
        splits = splits_of(range(len(data.images)), self.seeds, self.seed)
        questions = questions_of(data, splits, self.tasks, self.classes, self.most_classes)
        grids = Grids(data, splits, questions, self.locations, self.dense_images, self.seed)
        assert self.cache is not None
        return Setup(
            self._by_name,
            grids,
            Layers(grids, self._by_name, Path(self.cache), self.precision),
            (*questions.left_out, *self._baselines[1]),
            checksums_of(self._by_name),
        )

    def outcomes(
        self, context: Setup, expected: Mapping[Unit, str | None], tell: Tell
    ) -> Generator[tuple[Unit, Outcome], None, None]:
        """First the constant answers, then layer by layer, then the samples that are unreadable."""
        evaluate = super().evaluate
        for layer, group in groupby(expected, _layer_of):
            units = list(group)
            try:
                if layer is not None:
                    self._make_ready(context, *layer, tell)
            except Exception as error:
                yield from ((unit, self.failed(str(unit), error)) for unit in units)
                continue
            # In parallel they use the cores better than one by one.
            with _one_thread_each(), ThreadPoolExecutor(_THREADS) as pool:
                waiting = [pool.submit(evaluate, context, u, expected[u]) for u in units]
                try:
                    for unit, future in zip(units, waiting, strict=True):
                        yield unit, future.result()
                finally:
                    for future in waiting:
                        future.cancel()

    def evaluate(self, context: Setup, unit: Unit, expected: str | None = None) -> Outcome:
        with _one_thread_each():
            return super().evaluate(context, unit, expected)

    def _make_ready(self, context: Setup, source: str, layer: str, tell: Tell) -> None:
        """Prepares what the probes of a layer share, before they run in parallel."""
        if source:
            tell(f"{source} {layer}")
            context.layers.gathered(source, layer, tell)
        context.grids.complete(self._by_name[source].of if source else self._sources[0].name)

    def _evaluate_unit(self, context: Setup, unit: Unit) -> Outcome:
        assert isinstance(unit, ProbeUnit)
        outcome = context.outcome(unit)
        return replace(outcome, rows=self._full(outcome.rows))

    def _rows(
        self, context: Setup, index: int, sample: Sample, keep: bool
    ) -> tuple[Rows, list[Example]]:
        # Only samples that could not be read are units.
        truth_of(sample)
        raise StudyError(
            f"{sample.id} could not be read when the images were divided: a new output folder "
            "takes it in"
        )

    def _finish(self, directory: RunDirectory, readable: Readable) -> None:
        setup = self.context(readable, None)
        text = json.dumps(facts_of(setup), ensure_ascii=False, indent=1) + "\n"
        directory.write_file(FACTS, text.encode("utf-8"))
        write_maps(directory, setup, self.n_examples)
        super()._finish(directory, readable)


def _layer_of(unit: Unit) -> tuple[str, str] | None:
    return (unit.source, unit.layer) if isinstance(unit, ProbeUnit) else None


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Fits heads with one thread each, so that the bits do not depend on where they run."""
    from threadpoolctl import threadpool_limits  # scikit-learn brings it

    with warnings.catch_warnings(), threadpool_limits(1):
        # `converged` is recorded instead.
        warnings.filterwarnings("ignore", "lbfgs failed to converge")
        yield


def make(
    vlm: Any, samples: Sequence[Sample], options: ProbeOptions, *, seed: int, n_examples: int
) -> Study:
    """The study for these options."""
    return Probe(
        vlm,
        samples,
        seed=seed,
        n_examples=n_examples,
        encoders=options.encoders,
        tasks=options.tasks,
        layers=options.layers or None,
        seeds=options.seeds,
        classes=options.classes or None,
        controls=options.controls,
        locations=options.locations,
        cache=options.cache,
        precision=options.precision,
    )
