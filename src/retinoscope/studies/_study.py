"""What every study does the same way: keys, the resumable loop, progress, failing samples."""

from __future__ import annotations

import io
import json
import os
import warnings
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Self, TypeVar, cast

import numpy as np

from .. import arguments
from ..data import Sample
from ..errors import InputError, IntegrationWarning, StudyError, UnknownWordsWarning, one_line
from ..memory import is_out_of_memory
from ..signals import stopped_by_signals
from ..sources import source_name, source_of
from ..store import Json, RunDirectory, fingerprint_json, new_manifest, sample_key
from ._executor import Example, Executor, Outcome, Rows, Serial
from ._models import Unchanged, describe
from ._needs import Need, fitting, missing_lines, refuse
from ._readable import SAMPLES, Prints, Readable, prints_of, sample_fingerprint, unreadable
from ._results import EXAMPLES, Results
from ._survival import Failures
from ._tables import Cell

if TYPE_CHECKING:
    from ..engine import VLM

UNKNOWN = "unknown_words"
"""Column of every study whose rows have a question."""

Progress = Callable[[int, int, str], None]
"""Called with samples done, samples in all, and what was just done."""

Limits = Mapping[str, tuple[float, float | None]]
"""Least and largest value of options that are numbers, both included; None for no bound."""

Context = TypeVar("Context")


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
        max_failures: largest share of the samples that may fail as a whole; from 20 finished
            samples on, more of them stop the run. It changes no row, and may differ when a run
            goes on.
    """

    vlm: VLM
    samples: Sequence[Sample]
    seed: int = 0
    n_examples: int = 3
    exact: Literal["incremental", "reference"] = "incremental"
    max_failures: float = 0.5

    name: ClassVar[str]
    needs: ClassVar[str]
    uses: ClassVar[tuple[Need, ...]]
    schema: ClassVar[int]
    columns: ClassVar[tuple[str, ...]]
    limits: ClassVar[Limits] = {}
    intervenes: ClassVar[bool] = True
    opens: ClassVar[bool] = False
    """Whether `vlm` may also be what names a model, which the study opens itself."""

    def __post_init__(self) -> None:
        if not self.opens and isinstance(self.vlm, str | os.PathLike | Sequence):
            raise InputError(
                f"expected a model of retinoscope.load, got {arguments.shown(self.vlm)}: load it "
                "first, and give the samples behind it"
            )
        if isinstance(self.samples, str):
            raise InputError(
                f"expected samples, got {self.samples!r}: rs.sources.open_source opens them"
            )
        arguments.listed(self.samples, "samples")
        arguments.checked_fields(self)
        arguments.seed(self.seed)
        arguments.whole(self.n_examples, "n_examples", 0)
        arguments.number(self.max_failures, "max_failures as a share", 0, 1)
        if not self.intervenes and self.exact != "incremental":
            raise InputError(
                f"the {self.name} study makes no interventions, so exact={self.exact!r} would "
                "change nothing: leave exact out"
            )
        for name, (least, most) in self.limits.items():
            value = getattr(self, name)
            if value is not None:
                arguments.number(value, name, least, most)
        self._check()
        if not any(one is None or isinstance(one, str | os.PathLike) for one in self._given()):
            self._check_model()

    def run(
        self,
        out: str | Path,
        progress: Progress | None = None,
        *,
        executor: Executor | None = None,
        retry_failed: bool = False,
        survey: Prints | None = None,
    ) -> Results:
        """Runs the study, or goes on with it, in the run directory `out`.

        A sample that fails becomes one row with its error; the others go on. A sample that has
        nothing to ask about (no object within the bounds, no fitting question) has no rows.
        SIGTERM and SIGHUP end it as Ctrl-C does: what is finished is kept.

        Args:
            executor: where samples are evaluated; by default here, one after the other.
            retry_failed: evaluate samples again that failed before.
            survey: what `survey` found in the same samples; otherwise they are read once here.

        Raises:
            InputError: no samples, nothing to ask about in any of them, or `out` holds something
                else (another study, other options).
            StudyError: the disk is full, too many samples failed (`max_failures`) or all of them,
                or the data or the model changed since the run was started.
        """
        folder = arguments.path(out, "a run directory")
        if self.vlm is None:
            raise InputError("expected a model of retinoscope.load, got None: load it first")
        self._check_model()
        prints = self.survey(folder) if survey is None else survey
        return self.fitted(prints)._run(folder, prints, progress, executor, retry_failed)

    def survey(self, out: str | Path, progress: Progress | None = None) -> Prints:
        """Reads all samples once, or what `out` keeps of them; needs no model.

        Raises:
            InputError: no samples, or none that can be read.
        """
        if not len(self.samples):
            raise InputError(
                f"the {self.name} study needs at least one sample, got an empty data set: "
                "check the data's path and filters"
            )
        show = progress or (lambda done, total, what: None)
        prints = prints_of(self.samples, Path(out), self.asks, show)
        if not len(Readable(self.samples, prints.texts)):
            raise InputError(
                f"none of the {len(self.samples)} samples can be read; the first is "
                f"{prints.texts[0]}"
            )
        return prints

    @abstractmethod
    def asks(self, sample: Sample) -> Mapping[str, int]:
        """How much of a sample each of `uses` can use; needs no model.

        What the options leave out is not among them.
        """

    def fitted(self, prints: Prints) -> Self:
        """The study as far as its data allows it; needs no model.

        Raises:
            InputError: nothing of it can be run; says what the data holds and what adds the rest.
        """
        contents = prints.contents
        if contents is None:
            return self
        met, _ = fitting(self.uses, contents)
        if not met:
            refuse(self.name, self.needs, self.uses, contents, source_name(self.samples))
        return self._instead() if all(one.instead for one in met) else self

    def told(self, prints: Prints) -> list[str]:
        """What the data offers to the study, what it does not, and what was left out of it."""
        contents, name = prints.contents, source_name(self.samples)
        if contents is None:
            return []
        met, missing = fitting(self.uses, contents)
        return [
            f"data: {name}, {contents.line}",
            *(f"  {line}" for line in contents.left_out),
            *(f"  {one.gives}" for one in met if one.instead),
            # Where nothing is met, the refusal says it all.
            *(f"  {line}" for line in missing_lines(missing if met else (), contents, name)),
        ]

    def _instead(self) -> Self:
        """The study with what it asks where the data has nothing better."""
        return self

    def _run(
        self,
        out: Path,
        prints: Prints,
        progress: Progress | None,
        executor: Executor | None,
        retry_failed: bool,
    ) -> Results:
        failures = Failures(self.max_failures)
        readable = Readable(self.samples, prints.texts)
        unchanged = Unchanged(self.studied())
        manifest = self._manifest(fingerprint_json(prints.texts))
        if prints.contents is not None:
            told = prints.contents.as_json()
            manifest["data"] = {**cast("dict[str, Json]", manifest["data"]), "contents": told}
        keys = [self._key(manifest, index, prints.texts) for index in range(len(prints.texts))]
        with (
            warnings.catch_warnings(),
            stopped_by_signals(),
            RunDirectory.open(out, manifest, schema=self.schema, order=keys) as directory,
        ):
            # The rows say which words a model does not know and how far integrated gradients are
            # from adding up; one warning a question says no more.
            warnings.simplefilter("ignore", UnknownWordsWarning)
            warnings.simplefilter("ignore", IntegrationWarning)
            if prints.source is not None and not prints.kept:
                directory.write_file(SAMPLES, prints.file)
            failures.read(directory, set(keys))
            if retry_failed and failures.keys:
                directory.forget(failures.keys)
                failures = Failures(self.max_failures, failures.finished - len(failures.keys))
            failures.check()
            self._evaluate(
                directory, keys, prints, readable, failures, progress, executor, unchanged
            )
            directory.finish()
            self._merge_examples(directory)
            # Inside, so that a run that found nothing takes back its claim.
            results = Results(out)
            self._refuse_if_nothing_worked(results)
        return results

    def _evaluate(
        self,
        directory: RunDirectory,
        keys: Sequence[str],
        prints: Prints,
        readable: Readable,
        failures: Failures,
        progress: Progress | None,
        executor: Executor | None,
        unchanged: Unchanged,
    ) -> None:
        """Evaluates and writes the samples that are not finished."""
        show = progress or (lambda done, total, what: None)
        done, total = failures.finished, len(keys)
        if done:
            show(done, total, f"{done} samples were finished before")
        expected = {i: prints.expected(i) for i, key in enumerate(keys) if key not in directory}
        if not expected:
            return
        show(done, total, "preparing")
        with closing((executor or Serial()).outcomes(self, readable, expected)) as outcomes:
            for index, outcome in outcomes:
                unchanged.check()
                _write_examples(directory, index, outcome.examples)
                directory.write(keys[index], outcome.rows)
                done += 1
                show(done, total, outcome.label)
                failures.add(keys[index], outcome.error)

    def studied(self) -> tuple[object, ...]:
        """The models whose rows these are; they must not change while the study runs."""
        return (self.vlm,)

    def measure(self, readable: Readable) -> Any:
        """What is measured once over all samples; small, and sent to all workers."""
        return None

    def context(self, readable: Readable, measured: Any) -> Context:
        """What all samples share: fill vectors, answers' ids, a second model.

        Args:
            readable: the samples that can be read; the others have a row with their error.
            measured: what `measure` gave, in this process or in another.
        """
        return self._prepare(readable)

    def evaluate(self, context: Context, index: int, expected: str | None = None) -> Outcome:
        """The outcome of sample `index`.

        Args:
            expected: the fingerprint that the sample must have.

        Raises:
            StudyError: the sample has another one.
        """
        sample, found, unread = None, None, None
        try:
            sample = self.samples[index]
            found = None if expected is None else sample_fingerprint(sample)
        except Exception as error:
            unread, found = error, unreadable(error)
        if expected is not None and found != expected:
            raise StudyError(
                f"sample {index} is not what it was when the run was started: restore the data, "
                "or give another output folder"
            )
        if sample is None or unread is not None:
            assert unread is not None
            return self.failed(f"sample {index}", unread)
        try:
            rows, examples = self._rows(context, index, sample, keep=index < self.n_examples)
        except Exception as error:
            # One bad image must not cost the others; Ctrl-C is no Exception and ends the study.
            return self.failed(sample.id, error)
        return Outcome(sample.id, self._full(rows), examples)

    def failed(self, label: str, error: Exception) -> Outcome:
        """The outcome of a sample that failed as a whole: one row with the error."""
        if is_out_of_memory(error):
            free_memory()
        text = one_line(error)
        return Outcome(label, self._full([{"sample": label, "error": text}]), [], text)

    def _prepare(self, readable: Sequence[Sample]) -> Context:
        """As `context`, of a study that measures nothing over all samples."""
        raise NotImplementedError("a study defines _prepare, or measure and context")

    @abstractmethod
    def _rows(
        self, context: Context, index: int, sample: Sample, keep: bool
    ) -> tuple[Rows, list[Example]]:
        """The rows of one sample, and pictures of it if `keep`."""

    def _given(self) -> Sequence[object]:
        """The models as they were given: objects, names of models, or None for one to come."""
        return (self.vlm,)

    def _check(self) -> None:
        """Refuses options that no model and no data could make work."""

    def _check_model(self) -> None:
        """Refuses options that cannot work with this model, before anything is written.

        Asked where the study is made, if its models are there, and again when it is run.
        """

    def _parameters(self) -> dict[str, object]:
        """The options as they are recorded; they are part of the run's identity."""
        common = ("vlm", "samples", "seed", "max_failures")
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in common}

    def _depends_on(self, index: int, prints: Sequence[str], data: str) -> object:
        """What a sample's rows depend on besides itself; `data` is the data set's fingerprint."""
        return None

    def _manifest(self, data: str) -> dict[str, Json]:
        name, fingerprint, dtype, device = describe(self.vlm)
        # The viewer opens the images again; of `data` only the fingerprint tells runs apart.
        source = source_of(self.samples)
        told = {} if source is None else {"source": source}
        return new_manifest(
            study=self.name,
            parameters=self._parameters(),
            model={"name": name, "fingerprint": fingerprint},
            data={
                "name": source_name(self.samples),
                "fingerprint": data,
                "samples": len(self.samples),
            }
            | told,
            seeds={"study": self.seed},
            dtype=dtype,
            device=device,
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

    def _full(self, rows: Rows) -> Rows:
        """Rows with all columns."""
        blank: dict[str, Cell] = dict.fromkeys(self.columns)
        full = [blank | row for row in rows]
        assert all(len(row) == len(blank) for row in full), set().union(*rows) - set(blank)
        if "question" not in self.columns:
            return full
        # Hundreds of conditions share a question.
        unknown = {one: self._unknown(one) for one in {row["question"] for row in full}}
        return [row | {UNKNOWN: unknown[row["question"]]} for row in full]

    def _unknown(self, question: Cell) -> str | None:
        """Words of a question that the tokenizer does not know; None if it knows all."""
        if not isinstance(question, str):
            return None
        return ", ".join(self.vlm.adapter.vocabulary.unknown(question)) or None

    def _refuse_if_nothing_worked(self, results: Results) -> None:
        if not results.n_rows:
            raise InputError(
                f"the {self.name} study found nothing to ask about in {len(self.samples)} samples: "
                f"it needs {self.needs}; give other data, or other options and an empty folder"
            )
        errors = results.errors()
        if len(errors) == results.n_rows:
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
    name, fingerprint, *_ = describe(vlm)
    return {"name": name, "fingerprint": fingerprint}


def rng_of(seed: int, *names: str) -> np.random.Generator:
    """A generator that depends on the seed and on names only, not on what ran before."""
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])


def seed_of(seed: int, *names: str) -> int:
    """As `rng_of`, as one number for functions that take a seed."""
    return int(rng_of(seed, *names).integers(2**31))


def free_memory() -> None:
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _write_examples(directory: RunDirectory, index: int, examples: Sequence[Example]) -> None:
    for number, example in enumerate(examples):
        stem = f"examples/{index:05d}-{number}"
        buffer = io.BytesIO()
        example.image.convert("RGB").save(buffer, format="PNG")
        directory.write_file(f"{stem}.png", buffer.getvalue())
        facts = {**example.facts, "image": f"{stem}.png"}
        text = json.dumps(facts, ensure_ascii=False, sort_keys=True) + "\n"
        directory.write_file(f"{stem}.json", text.encode("utf-8"))
