"""The loop of every study: units are keyed, evaluated, counted and written, and can be resumed."""

from __future__ import annotations

import io
import json
import warnings
from abc import abstractmethod
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar, cast

from ..errors import InputError, IntegrationWarning, StudyError, UnknownWordsWarning
from ..signals import stopped_by_signals
from ..store import Json, RunDirectory, fingerprint_json
from ._executor import Example, Executor, Outcome, Progress, Serial, Tell, Unit
from ._models import Unchanged
from ._readable import SAMPLES, Prints, Readable
from ._results import EXAMPLES, Results
from ._survey import Surveying
from ._survival import Failures


class Resumable(Surveying):
    """A study's units and their evaluation in a run directory."""

    max_failures: float
    schema: ClassVar[int]

    def units(self, prints: Prints) -> Sequence[Unit]:
        """Returns what is evaluated and written as a whole, in the order of the results.

        By default the samples. A study with other units returns those, and the samples that cannot
        be read.
        """
        return range(len(prints.texts))

    def measure(self, readable: Readable, tell: Tell) -> Any:
        """Measures something once over all samples; small, and sent to all workers.

        Args:
            readable: the samples that can be read.
            tell: called with what is being done, if it takes long.
        """
        return None

    @abstractmethod
    def context(self, readable: Readable, measured: Any) -> Any:
        """Returns what all units share; `measured` is the result of `measure`."""

    @abstractmethod
    def outcomes(
        self, context: Any, expected: Mapping[Unit, str | None], tell: Tell
    ) -> Generator[tuple[Unit, Outcome], None, None]:
        """Yields the outcome of each unit, in this process; see `Executor`."""

    @abstractmethod
    def studied(self) -> Sequence[object]:
        """Returns the studied models, which must not change while the study runs."""

    @abstractmethod
    def _manifest(self, data: str) -> dict[str, Json]:
        """Returns the run's manifest; `data` is the data set's fingerprint."""

    @abstractmethod
    def _key(self, manifest: Mapping[str, Json], unit: Unit, prints: Sequence[str]) -> str:
        """Returns a hash of everything that a unit's rows depend on."""

    def _run(
        self,
        out: Path,
        prints: Prints,
        progress: Progress | None,
        executor: Executor | None,
        retry_failed: bool,
    ) -> Results:
        readable = Readable(self.samples, prints.texts)
        unchanged = Unchanged(self.studied())
        manifest = self._manifest(fingerprint_json(prints.texts))
        if prints.contents is not None:
            stored = prints.contents.as_json()
            manifest["data"] = {**cast("dict[str, Json]", manifest["data"]), "contents": stored}
        keys = {unit: self._key(manifest, unit, prints.texts) for unit in self.units(prints)}
        with (
            warnings.catch_warnings(),
            stopped_by_signals(),
            RunDirectory.open(
                out, manifest, schema=self.schema, order=list(keys.values())
            ) as directory,
        ):
            # The rows record the words that a model does not know and the errors of integrated
            # gradients; a warning per question adds nothing.
            warnings.simplefilter("ignore", UnknownWordsWarning)
            warnings.simplefilter("ignore", IntegrationWarning)
            if prints.source is not None and not prints.kept:
                directory.write_file(SAMPLES, prints.file)
            failures = self._failed_before(directory, keys, prints, retry_failed)
            self._evaluate(
                directory, keys, prints, readable, failures, progress, executor, unchanged
            )
            directory.finish()
            self._finish(directory, readable)
            # Inside the block, so that a run that found nothing gives up its directory.
            results = Results(out)
            self._refuse_if_nothing_worked(results)
        return results

    def _failed_before(
        self,
        directory: RunDirectory,
        keys: Mapping[Unit, str],
        prints: Prints,
        retry_failed: bool,
    ) -> Failures:
        """Returns the failures of earlier sessions; with `retry_failed` they are forgotten.

        Samples that are not units have not failed.
        """
        others = len(prints.texts) - sum(isinstance(unit, int) for unit in keys)
        failures = Failures(self.max_failures, others)
        failures.read(directory, set(keys.values()))
        if retry_failed and failures.keys:
            directory.forget(failures.keys)
            failures = Failures(self.max_failures, failures.finished - len(failures.keys))
        failures.check()
        return failures

    def _evaluate(
        self,
        directory: RunDirectory,
        keys: Mapping[Unit, str],
        prints: Prints,
        readable: Readable,
        failures: Failures,
        progress: Progress | None,
        executor: Executor | None,
        unchanged: Unchanged,
    ) -> None:
        """Evaluates and writes the units that are not finished."""
        show = progress or (lambda done, total, what: None)
        expected = {
            unit: prints.expected(unit) if isinstance(unit, int) else None
            for unit, key in keys.items()
            if key not in directory
        }
        done, total = len(keys) - len(expected), len(keys)
        if done:
            show(done, total, f"{done} were finished before")
        if not expected:
            return

        def tell(what: str) -> None:
            show(done, total, what)

        tell("preparing")
        evaluated = (executor or Serial()).outcomes(self, readable, expected, tell)
        with closing(evaluated) as outcomes:
            for unit, outcome in outcomes:
                unchanged.check()
                for number, example in enumerate(outcome.examples):
                    write_example(directory, f"{unit:05d}-{number}", example)
                for name, values in outcome.arrays.items():
                    directory.write_tensors(name, {"values": values})
                directory.write(keys[unit], outcome.rows)
                done += 1
                show(done, total, outcome.label)
                failures.add(keys[unit], outcome.error)

    def _finish(self, directory: RunDirectory, readable: Readable) -> None:
        """Writes what is made from all units together."""
        files = sorted((directory.path / "examples").glob("*.json"))
        merged = [json.loads(file.read_text("utf-8")) for file in files]
        text = json.dumps(merged, ensure_ascii=False, sort_keys=True) + "\n"
        directory.write_file(EXAMPLES, text.encode("utf-8"))

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


def write_example(directory: RunDirectory, name: str, example: Example) -> None:
    """Stores a picture and its facts until the run is finished."""
    stem = f"examples/{name}"
    buffer = io.BytesIO()
    example.image.convert("RGB").save(buffer, format="PNG")
    directory.write_file(f"{stem}.png", buffer.getvalue())
    facts = {**example.facts, "image": f"{stem}.png"}
    text = json.dumps(facts, ensure_ascii=False, sort_keys=True) + "\n"
    directory.write_file(f"{stem}.json", text.encode("utf-8"))
