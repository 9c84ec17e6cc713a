"""The base of the studies: their options and models, and the evaluation of one sample."""

from __future__ import annotations

import os
import zlib
from abc import abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Self, TypeVar

import numpy as np

from .. import arguments
from ..data import Sample
from ..errors import InputError, one_line
from ..memory import free_memory, is_out_of_memory
from ..sources import source_name, source_of
from ..store import Json, Scalar, new_manifest, sample_key
from ._executor import Example, Executor, Outcome, Progress, Rows, Tell, Unit
from ._models import describe_together
from ._readable import Prints, Readable, changed, sample_fingerprint, unreadable
from ._results import Results
from ._resumable import Resumable
from ._unknown_words import with_unknown_words

if TYPE_CHECKING:
    from ..engine import VLM

Limits = Mapping[str, tuple[float, float | None]]
"""Least and largest value of options that are numbers, both included; None for no bound."""

Context = TypeVar("Context")


@dataclass(frozen=True, eq=False)
class Study(Resumable, Generic[Context]):
    """Base of the studies. Subclasses are frozen dataclasses whose fields are their options.

    Args:
        vlm: from `retinoscope.load`.
        samples: a sequence of `Sample`, read one at a time.
        seed: seed of everything random (token sets, shuffles, noise).
        n_examples: number of samples, from the first, that are kept as pictures for the report.
        exact: "incremental", or "reference" for one plain full forward pass per intervention, which
            gives the same tables.
        max_failures: largest share of the samples that may fail as a whole; checked from 20
            finished samples on. It changes no row, and may differ when a run is resumed.
    """

    vlm: VLM
    samples: Sequence[Sample]
    seed: int = 0
    n_examples: int = 3
    exact: Literal["incremental", "reference"] = "incremental"
    max_failures: float = 0.5

    columns: ClassVar[tuple[str, ...]]
    what: ClassVar[str] = "images"
    """What its units are called in messages."""
    limits: ClassVar[Limits] = {}
    intervenes: ClassVar[bool] = True
    opens: ClassVar[bool] = False
    """Whether `vlm` may also be the name of a model, which the study opens itself."""

    def __post_init__(self) -> None:
        if not self.opens and isinstance(self.vlm, str | os.PathLike | Sequence):
            raise InputError(
                f"expected a model from retinoscope.load, got {arguments.shown(self.vlm)}: load it "
                "first, and give the samples after it"
            )
        if isinstance(self.samples, str):
            raise InputError(
                f"expected samples, got {self.samples!r}: open them with rs.sources.open_source"
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
        if not any(m is None or isinstance(m, str | os.PathLike) for m in self._given()):
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
        """Runs the study in the run directory `out`, or resumes it there.

        A sample (or another of its `units`) that fails becomes one row with its error; the others
        continue. A sample that has nothing to ask about (no object within the bounds, no fitting
        question) has no rows. SIGTERM and SIGHUP end it as Ctrl-C does: finished work is kept.

        Args:
            out: the run directory.
            progress: called after each unit.
            executor: where units are evaluated; by default in this process.
            retry_failed: evaluate units again that failed before.
            survey: result of `survey` for the same samples; otherwise they are read once here.

        Raises:
            InputError: there are no samples, nothing to ask about in any of them, or `out` holds
                something else (another study, other options).
            StudyError: the disk is full, too many samples failed (`max_failures`) or all of them,
                or the data or the model has changed since the run was started.
        """
        folder = arguments.path(out, "a run directory")
        if self.vlm is None:
            raise InputError("expected a model from retinoscope.load, got None: load it first")
        self._check_model()
        prints = self.survey(folder) if survey is None else survey
        study = self.fitted(prints)._placed(folder)
        return study._run(folder, prints, progress, executor, retry_failed)

    def context(self, readable: Readable, measured: Any) -> Context:
        """Returns what all samples share: fill vectors, answers' ids, a second model.

        Args:
            readable: the samples that can be read; the others have a row with their error.
            measured: result of `measure`, from this process or another.
        """
        return self._prepare(readable)

    def outcomes(
        self, context: Context, expected: Mapping[Unit, str | None], tell: Tell
    ) -> Generator[tuple[Unit, Outcome], None, None]:
        for unit, fingerprint in expected.items():
            yield unit, self.evaluate(context, unit, fingerprint)

    def evaluate(self, context: Context, unit: Unit, expected: str | None = None) -> Outcome:
        """Returns the outcome of one unit.

        Args:
            context: from `context`.
            unit: the unit.
            expected: the fingerprint that a sample must have.

        Raises:
            StudyError: the sample has another fingerprint.
        """
        if isinstance(unit, int):
            return self._evaluate_sample(context, unit, expected)
        try:
            return self._evaluate_unit(context, unit)
        except Exception as error:
            return self.failed(str(unit), error)

    def _evaluate_sample(self, context: Context, index: int, expected: str | None) -> Outcome:
        sample, fingerprint, unread = None, None, None
        try:
            sample = self.samples[index]
            if expected is not None:
                fingerprint = sample_fingerprint(sample)
                # A sample for which `asks` fails counts as unreadable, as in the survey.
                self.asks(sample)
        except Exception as error:
            unread, fingerprint = error, unreadable(error)
        if expected is not None and fingerprint != expected:
            raise changed(index)
        if sample is None or unread is not None:
            assert unread is not None
            return self.failed(getattr(sample, "id", f"sample {index}"), unread)
        try:
            rows, examples = self._rows(context, index, sample, keep=index < self.n_examples)
        except Exception as error:
            # One bad image must not cost the others; Ctrl-C is not an Exception and ends the study.
            return self.failed(sample.id, error)
        return Outcome(sample.id, self._full(rows), examples)

    def failed(self, label: str, error: Exception) -> Outcome:
        """Returns the outcome of a unit that failed as a whole: one row with the error."""
        if is_out_of_memory(error):
            free_memory()
        text = one_line(error)
        return Outcome(label, self._full([{"sample": label, "error": text}]), [], text)

    def _prepare(self, readable: Sequence[Sample]) -> Context:
        """As `context`, for a study that measures nothing over all samples."""
        raise NotImplementedError("a study defines _prepare, or measure and context")

    @abstractmethod
    def _rows(
        self, context: Context, index: int, sample: Sample, keep: bool
    ) -> tuple[Rows, list[Example]]:
        """Returns the rows of one sample, and pictures of it if `keep`."""

    def _evaluate_unit(self, context: Context, unit: Unit) -> Outcome:
        """Returns the outcome of a unit that is not a sample."""
        raise NotImplementedError("a study with units other than samples evaluates them itself")

    def _given(self) -> Sequence[object]:
        """Returns the models as given: objects, names, or None for one that comes later."""
        return (self.vlm,)

    def _check(self) -> None:
        """Refuses options that cannot work with any model and data."""

    def _check_model(self) -> None:
        """Refuses options that cannot work with this model, before anything is written.

        Called when the study is made, if its models are given, and again when it is run.
        """

    def studied(self) -> Sequence[Any]:
        return (self.vlm,)

    def _placed(self, out: Path) -> Self:
        """Returns the study, adapted to its run directory."""
        return self

    def _parameters(self) -> dict[str, object]:
        """Returns the options as they are recorded, as part of the run's identity."""
        common = ("vlm", "samples", "seed", "max_failures")
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in common}

    def _depends_on(self, index: Any, prints: Sequence[str], data: str) -> object:
        """Returns what the rows of a sample, or of another unit, depend on besides itself.

        Args:
            index: index of the sample, or the unit.
            prints: the samples' fingerprints.
            data: the data set's fingerprint.
        """
        return None

    def _manifest(self, data: str) -> dict[str, Json]:
        name, fingerprint, dtype, device = describe_together(self.studied())
        # The viewer opens the images again; only the fingerprint of `data` identifies the run.
        source = source_of(self.samples)
        source_entry = {} if source is None else {"source": source}
        return new_manifest(
            study=self.name,
            parameters=self._parameters(),
            model={"name": name, "fingerprint": fingerprint},
            data={
                "name": source_name(self.samples),
                "fingerprint": data,
                "samples": len(self.samples),
            }
            | source_entry,
            seeds={"study": self.seed},
            dtype=dtype,
            device=device,
        )

    def _key(self, manifest: Mapping[str, Json], unit: Unit, prints: Sequence[str]) -> str:
        model, data = manifest["model"], manifest["data"]
        assert isinstance(model, dict)
        assert isinstance(data, dict)
        return sample_key(
            schema=self.schema,
            study=self.name,
            model=model["fingerprint"],
            dtype=manifest["dtype"],
            sample=[unit, prints[unit]] if isinstance(unit, int) else list(unit),
            options=manifest["parameters"],
            seed=self.seed,
            other=self._depends_on(unit, prints, str(data["fingerprint"])),
        )

    def _full(self, rows: Rows) -> Rows:
        """Rows with all columns."""
        blank: dict[str, Scalar] = dict.fromkeys(self.columns)
        full = [blank | row for row in rows]
        assert all(len(row) == len(blank) for row in full), set().union(*rows) - set(blank)
        return with_unknown_words(full, self.vlm) if "question" in self.columns else full


def rng_of(seed: int, *names: str) -> np.random.Generator:
    """Returns a generator that depends only on the seed and the names, not on what ran before."""
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])


def seed_of(seed: int, *names: str) -> int:
    """As `rng_of`, but one number, for functions that take a seed."""
    return int(rng_of(seed, *names).integers(2**31))
