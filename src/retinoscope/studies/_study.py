"""What every study does the same way: keys, the resumable loop, progress, failing samples."""

from __future__ import annotations

import io
import json
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, TypeVar, overload

import numpy as np

from ..data import Sample
from ..errors import InputError, StudyError
from ..store import (
    Json,
    RunDirectory,
    fingerprint_array,
    fingerprint_json,
    new_manifest,
    sample_key,
)
from ._results import EXAMPLES, Results
from ._tables import Cell

if TYPE_CHECKING:
    from PIL import Image

    from ..engine import VLM

Progress = Callable[[int, int, str], None]
"""Called with samples done, samples in all, and what was just done."""

Rows = list[dict[str, Cell]]
Context = TypeVar("Context")
_UNREADABLE = "unreadable: "


@dataclass(frozen=True)
class Example:
    """One picture for the report: JSON facts and the image they are about."""

    facts: dict[str, Json]
    image: Image.Image


@dataclass(frozen=True, eq=False)
class Study(ABC, Generic[Context]):
    """Base of the studies. Subclasses are frozen dataclasses whose fields are their options.

    Args:
        vlm: from `retinoscope.load`.
        samples: a sequence of `Sample`, read one at a time.
        seed: of everything random (token sets, shuffles, noise).
        n_examples: so many samples, the first ones, are kept as pictures for the report.
        exact: "incremental", or "reference" for one plain full forward pass per intervention, which
            gives the same tables.
    """

    vlm: VLM
    samples: Sequence[Sample]
    seed: int = 0
    n_examples: int = 3
    exact: Literal["incremental", "reference"] = "incremental"

    name: ClassVar[str]
    needs: ClassVar[str]
    schema: ClassVar[int]
    columns: ClassVar[tuple[str, ...]]

    def run(self, out: str | Path, progress: Progress | None = None) -> Results:
        """Runs the study, or goes on with it, in the run directory `out`.

        A sample that fails becomes one row with its error; the others go on. A sample that has
        nothing to ask about (no object within the bounds, no fitting question) has no rows.

        Raises:
            InputError: no samples, nothing to ask about in any of them, or `out` holds something
                else (another study, other options).
            StudyError: the disk is full, or no sample could be evaluated at all.
        """
        if not len(self.samples):
            raise InputError(
                f"the {self.name} study needs at least one sample, got an empty data set: "
                "check the data's path and filters"
            )
        self._check()
        prints = [_fingerprint_at(self.samples, index) for index in range(len(self.samples))]
        readable = Readable(self.samples, prints)
        if not len(readable):
            raise InputError(
                f"none of the {len(prints)} samples can be read; the first is {prints[0]}"
            )
        manifest = self._manifest(fingerprint_json(prints))
        keys = [self._key(manifest, index, prints) for index in range(len(prints))]
        total = len(keys)
        with RunDirectory.open(out, manifest, schema=self.schema, order=keys) as directory:
            context: Context | None = None
            done = len(set(keys) & directory.done())
            if progress and done:
                progress(done, total, f"{done} samples were finished before")
            for index, key in enumerate(keys):
                if key in directory.done():
                    continue
                if context is None:
                    if progress:
                        progress(done, total, "preparing")
                    context = self._prepare(readable)
                label, rows, examples = self._one(context, index)
                _write_examples(directory, index, examples)
                directory.write(key, rows)
                done += 1
                if progress:
                    progress(done, total, label)
            directory.finish()
            self._merge_examples(directory)
        results = Results(Path(out))
        self._refuse_if_nothing_worked(results)
        return results

    @abstractmethod
    def _prepare(self, readable: Sequence[Sample]) -> Context:
        """What all samples share: fill vectors, answers' ids, a second model.

        `readable` are the samples that can be read; the others have a row with their error.
        """

    @abstractmethod
    def _rows(
        self, context: Context, index: int, sample: Sample, keep: bool
    ) -> tuple[Rows, list[Example]]:
        """The rows of one sample, and pictures of it if `keep`."""

    def _check(self) -> None:
        """Refuses options that cannot work, before anything is written."""

    def _parameters(self) -> dict[str, object]:
        """The options as they are recorded; they are part of the run's identity."""
        common = ("vlm", "samples", "seed")
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in common}

    def _depends_on(self, index: int, prints: Sequence[str], data: str) -> object:
        """What a sample's rows depend on besides itself; `data` is the data set's fingerprint."""
        return None

    def _manifest(self, data: str) -> dict[str, Json]:
        model = describe_model(self.vlm)
        return new_manifest(
            study=self.name,
            parameters=self._parameters(),
            model=model,
            data={"fingerprint": data, "samples": len(self.samples)},
            seeds={"study": self.seed},
            dtype=str(self.vlm.dtype).removeprefix("torch."),
            device=str(self.vlm.device),
        )

    def _key(self, manifest: Mapping[str, Json], index: int, prints: Sequence[str]) -> str:
        model, data = manifest["model"], manifest["data"]
        assert isinstance(model, dict)
        assert isinstance(data, dict)
        return sample_key(
            schema=self.schema,
            study=self.name,
            model=model["fingerprint"],
            dtype=manifest["dtype"],
            sample=[index, prints[index]],
            options=manifest["parameters"],
            seed=self.seed,
            other=self._depends_on(index, prints, str(data["fingerprint"])),
        )

    def _one(self, context: Context, index: int) -> tuple[str, Rows, list[Example]]:
        label = f"sample {index}"
        try:
            sample = self.samples[index]
            label = sample.id
            rows, examples = self._rows(context, index, sample, keep=index < self.n_examples)
        except Exception as error:
            # One bad image must not cost the others; Ctrl-C is no Exception and ends the study.
            return label, [self._row(sample=label, error=_one_line(error))], []
        return label, [self._row(**row) for row in rows], examples

    def _row(self, **values: Cell) -> dict[str, Cell]:
        unknown = values.keys() - set(self.columns)
        assert not unknown, unknown
        return {column: values.get(column) for column in self.columns}

    def _refuse_if_nothing_worked(self, results: Results) -> None:
        if not results.table.num_rows:
            raise InputError(
                f"the {self.name} study found nothing to ask about in {len(self.samples)} samples: "
                f"it needs {self.needs}; give other data, or other options and an empty folder"
            )
        errors = results.errors()
        if len(errors) == results.table.num_rows:
            raise StudyError(
                f"none of the samples could be evaluated; the first error: {errors[0][1]} "
                f"(all of them are in {results.path})"
            )

    def _merge_examples(self, directory: RunDirectory) -> None:
        files = sorted((directory.path / "examples").glob("*.json"))
        merged = [json.loads(file.read_text("utf-8")) for file in files]
        text = json.dumps(merged, ensure_ascii=False, sort_keys=True) + "\n"
        directory.write_file(EXAMPLES, text.encode("utf-8"))


def describe_model(vlm: VLM) -> dict[str, Json]:
    """Name and fingerprint of a model, for the manifest."""
    return {"name": str(vlm.name), "fingerprint": str(vlm.fingerprint)}


def sample_fingerprint(sample: Sample) -> str:
    """A hash of whatever of a sample a study can see."""
    return fingerprint_json(
        {
            "id": sample.id,
            "image": fingerprint_array(np.asarray(sample.image)),
            "mode": sample.image.mode,
            "objects": [
                [obj.name, obj.color, fingerprint_array(np.asarray(obj.mask))]
                for obj in sample.objects
            ],
            "questions": [[q.question, q.answer, q.kind, q.about] for q in sample.questions],
        }
    )


def rng_of(seed: int, *names: str) -> np.random.Generator:
    """A generator that depends on the seed and on names only, not on what ran before."""
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])


def seed_of(seed: int, *names: str) -> int:
    """As `rng_of`, as one number for functions that take a seed."""
    return int(rng_of(seed, *names).integers(2**31))


def _fingerprint_at(samples: Sequence[Sample], index: int) -> str:
    try:
        return sample_fingerprint(samples[index])
    except Exception as error:
        # Evaluating it will fail as well and leave a row that says why.
        return f"{_UNREADABLE}{_one_line(error)}"


class Readable(Sequence[Sample]):
    """Those of `samples` whose fingerprint could be taken."""

    def __init__(self, samples: Sequence[Sample], prints: Sequence[str]) -> None:
        self._samples = samples
        self._places = [i for i, text in enumerate(prints) if not text.startswith(_UNREADABLE)]

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self._samples[place] for place in self._places[index]]
        return self._samples[self._places[index]]


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"


def _write_examples(directory: RunDirectory, index: int, examples: Sequence[Example]) -> None:
    for number, example in enumerate(examples):
        stem = f"examples/{index:05d}-{number}"
        buffer = io.BytesIO()
        example.image.convert("RGB").save(buffer, format="PNG")
        directory.write_file(f"{stem}.png", buffer.getvalue())
        facts = {**example.facts, "image": f"{stem}.png"}
        text = json.dumps(facts, ensure_ascii=False, sort_keys=True) + "\n"
        directory.write_file(f"{stem}.json", text.encode("utf-8"))
