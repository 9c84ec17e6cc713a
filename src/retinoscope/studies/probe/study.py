"""What is where: frozen layers probed for what is shown and for where it is.

Li et al. 2022, "Localization vs. Semantics" (arXiv 2212.00281), as far as it is known: frozen
encoders, light heads, tasks that need names and tasks that need places. None of its numbers could
be verified, and none is given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from ... import arguments, encoders
from ...data import Sample
from ...encoders import Encoder
from ...errors import CapabilityError, InputError
from ...signals import stopped_by_signals
from ...sources import require_objects, source_of
from ...store import Json, RunDirectory, fingerprint_json, new_manifest, sample_key
from .._models import Unchanged
from .._readable import SAMPLES
from .._results import Results
from .._study import Progress
from .._untrained import untrained_encoder
from .labels import LeftOut
from .questions import Questions, questions_of
from .read import Data, read_data
from .sources import PIXELS, Source, default_layers, last_layers, short_name
from .split import splits_of
from .tasks import TASKS
from .work import Settings, Unit, Work

SCHEMA = 1


@dataclass(frozen=True, eq=False)
class Probe:
    """Probes of frozen encoders, on equal terms.

    Every task (`TASKS`) is answered by a light head on one layer: linear, or with one hidden layer
    for instances. All heads of a task have one size: features that are wider than the narrowest
    layer are brought to its width by a fixed random matrix. Features are scaled by the training
    images; the penalty is chosen on the validation images, from the same values everywhere; the
    test images are scored once. A probe seed divides the other images into training and validation
    anew and draws locations and first weights; the test images are the same for all.

    Beside each encoder: the same architecture with random weights (the last layer of each part) and
    the raw pixels of its locations, both with the first probe seed only; the constant answer; the
    best that one answer per location can reach; control labels (a random label for each kind of
    case, Hewitt and Liang 2019, arXiv 1909.03368; undefined where all cases get one) and shuffled
    labels, first seed only. The encoder's parameters are compared before and after.

    Args:
        sources: encoders, or what `retinoscope.encoders.load` takes.
        samples: a sequence of `Sample`.
        tasks: names of `TASKS`; one that the data cannot ask is left out and listed.
        layers: names, wherever an encoder has them; by default the first, the middle and the last
            of each of its parts.
        seeds: number of probe seeds.
        seed: of splits, draws and random weights.
        classes: names that objects may have; by default those that occur.
        most_classes: only so many names, the most frequent.
        controls: also the encoder with random weights, raw pixels, control and shuffled labels.
        locations: at most so many locations train a dense task.
        dense_images: at most so many test images are scored in dense tasks.
        cache: folder for features; by default in the run directory.
        precision: in which features are kept.
        n_examples: test images kept as pictures for the report.
    """

    sources: Sequence[Any]
    samples: Sequence[Sample]
    tasks: Sequence[str] = tuple(TASKS)
    layers: Sequence[str] | None = None
    seeds: int = 3
    seed: int = 0
    classes: Sequence[str] | None = None
    most_classes: int = 100
    controls: bool = True
    locations: int = 6000
    dense_images: int = 400
    cache: str | Path | None = None
    precision: Literal["float16", "float32"] = "float16"
    n_examples: int = 3

    name: ClassVar[str] = "probe"

    def __post_init__(self) -> None:
        """Raises InputError for a number outside its range, another precision, or no lists."""
        arguments.checked_fields(self)
        arguments.seed(self.seed)
        arguments.whole(self.n_examples, "n_examples", 0)
        least = {"seeds": 1, "locations": 100, "dense_images": 2, "most_classes": 2}
        for name, bound in least.items():
            arguments.whole(getattr(self, name), name, bound)
        for task in self.tasks:
            if task not in TASKS:
                raise InputError(f"expected tasks of {', '.join(TASKS)}, got {task!r}")
        if not self.tasks or len(set(self.tasks)) < len(self.tasks):
            raise InputError(f"expected different tasks, at least one, got {list(self.tasks)}")

    def run(self, out: str | Path, progress: Progress | None = None) -> Results:
        """Runs the study, or goes on with it, in the run directory `out`.

        Each probe (encoder, layer, task, labels, seed) is written as it is finished.

        Raises:
            InputError: options or data that cannot be used, or `out` holds something else.
            CapabilityError: an encoder whose locations have no place.
            StudyError: the disk is full, or an encoder's parameters changed.
        """
        require_objects(self.samples, "a probe")
        tell = progress or (lambda done, total, what: None)
        data = read_data(self.samples, {s.name: s.boxes for s in self._sources}, tell)
        splits = splits_of(range(len(data.images)), self.seeds, self.seed)
        questions = questions_of(data, splits, self.tasks, self.classes, self.most_classes)
        sources = (*self._sources, *self._baselines[0])
        unchanged = Unchanged(source.encoder for source in sources)
        manifest = self._manifest(data)
        units = list(self._units(questions))
        keys = [self._key(manifest, unit) for unit in units]
        with (
            stopped_by_signals(),
            RunDirectory.open(
                out, manifest, schema=SCHEMA, order=[*keys, *self._error_keys(manifest, data)]
            ) as directory,
        ):
            self._write_errors(directory, manifest, data)
            if data.prints.source is not None:
                directory.write_file(SAMPLES, data.prints.file)
            left = (*questions.left_out, *self._baselines[1])
            Work(
                directory,
                data,
                splits,
                questions,
                left,
                dict(zip(units, keys, strict=True)),
                self._settings,
                tell,
                unchanged,
            ).run()
            directory.finish()
        return Results(Path(out))

    @cached_property
    def _sources(self) -> tuple[Source, ...]:
        loaded = [encoders.load(one) for one in self.sources]
        if not loaded:
            raise InputError("expected at least one encoder, got none")
        found: list[Source] = []
        for encoder in loaded:
            name = short_name(encoder.name)
            if name in (one.name for one in found):
                raise InputError(f"expected different encoders, got {name!r} twice")
            found.append(Source(name, "encoder", name, self._chosen(encoder), encoder))
        wanted = set(self.layers or ())
        missing = sorted(wanted - {layer for one in found for layer in one.layers})
        if missing:
            every = dict.fromkeys(layer for encoder in loaded for layer in encoder.layers)
            raise InputError(f"expected layers of {', '.join(every)}, got {missing[0]!r}")
        encoders.check_unseen((encoder.name for encoder in loaded), self.samples)
        return tuple(found)

    def _chosen(self, encoder: Encoder) -> tuple[str, ...]:
        if self.layers is None:
            return default_layers(encoder.layers)
        return tuple(name for name in encoder.layers if name in set(self.layers))

    @cached_property
    def _baselines(self) -> tuple[tuple[Source, ...], tuple[LeftOut, ...]]:
        """Encoders with random weights and raw pixels; and what could not be made."""
        if not self.controls:
            return (), ()
        found: list[Source] = []
        left: list[LeftOut] = []
        for source in self._sources:
            try:
                fresh = untrained_encoder(source.encoder, self.seed)
            except CapabilityError as error:
                left.append(LeftOut("all", f"{source.name}, untrained", str(error), 1))
                continue
            if fresh.fingerprint != source.fingerprint:
                name = f"{source.name}, untrained"
                layers = last_layers(source.layers)
                found.append(Source(name, "untrained", source.name, layers, fresh))
        first = self._sources[0]
        found.append(Source(PIXELS, "pixels", first.name, (PIXELS,), first.encoder))
        return tuple(found), tuple(left)

    def _units(self, questions: Questions) -> Iterator[Unit]:
        for task in questions.tasks:
            yield from (Unit(None, "", task, "true", number) for number in range(self.seeds))
        for source in (*self._sources, *self._baselines[0]):
            for layer in source.layers:
                for task in questions.tasks:
                    for number in range(self.seeds if source.kind == "encoder" else 1):
                        yield Unit(source, layer, task, "true", number)
                    if self.controls and source.kind == "encoder" and TASKS[task].controlled:
                        yield Unit(source, layer, task, "control", 0)
                        yield Unit(source, layer, task, "shuffled", 0)

    @property
    def _settings(self) -> Settings:
        return Settings(
            self.seed,
            self.locations,
            self.dense_images,
            self.cache,
            self.precision,
            self.n_examples,
        )

    def _parameters(self) -> dict[str, object]:
        names = ("tasks", "seeds", "classes", "most_classes", "controls", "locations")
        found: dict[str, object] = {name: getattr(self, name) for name in names}
        found |= {"dense_images": self.dense_images, "precision": self.precision}
        found["encoders"] = [[one.name, one.fingerprint, one.layers] for one in self._sources]
        return found

    def _manifest(self, data: Data) -> dict[str, Json]:
        # A VLM goes by its own fingerprint, so that the microscope knows it again.
        prints = [
            str(getattr(getattr(one.encoder, "vlm", one), "fingerprint", one.fingerprint))
            for one in self._sources
        ]
        source = source_of(self.samples)
        told: dict[str, object] = {} if source is None else {"source": source}
        devices = {
            str(parameter.device)
            for one in self._sources
            for module in one.encoder.modules
            for parameter in module.parameters()
        }
        dtypes = {str(one.encoder.settings.get("dtype", "float32")) for one in self._sources}
        return new_manifest(
            study=self.name,
            parameters=self._parameters(),
            model={
                "name": " + ".join(one.name for one in self._sources),
                "fingerprint": prints[0] if len(prints) == 1 else fingerprint_json(prints),
            },
            data={"fingerprint": data.fingerprint, "samples": len(self.samples)} | told,
            seeds={"study": self.seed},
            dtype=", ".join(sorted(dtypes)),
            device=", ".join(sorted(devices)),
        )

    def _key(self, manifest: Mapping[str, Json], unit: Unit) -> str:
        return sample_key(
            schema=SCHEMA,
            study=self.name,
            data=_fingerprint(manifest["data"]),
            options=manifest["parameters"],
            seed=self.seed,
            source="" if unit.source is None else [unit.source.name, unit.source.fingerprint],
            unit=[unit.layer, unit.task, unit.labels, unit.number],
        )

    def _error_keys(self, manifest: Mapping[str, Json], data: Data) -> list[str]:
        made = _fingerprint(manifest["data"])
        return [sample_key(study=self.name, data=made, failed=label) for label, _ in data.errors]

    def _write_errors(
        self, directory: RunDirectory, manifest: Mapping[str, Json], data: Data
    ) -> None:
        keys = self._error_keys(manifest, data)
        for key, (label, text) in zip(keys, data.errors, strict=True):
            if key not in directory:
                directory.write(key, [{"sample": label, "error": text}])


def _fingerprint(facts: Json) -> Json:
    return facts["fingerprint"] if isinstance(facts, dict) else facts
