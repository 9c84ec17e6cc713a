"""Shared by the study commands: opening model and data, running, printing the results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from ._loading import Loading, Opened, load_model, quiet
from ._progress import Progress
from ._say import say
from ._workers import workers_of

if TYPE_CHECKING:
    from ..data import Sample
    from ..report.findings import Finding
    from ..scale import RayWorkers
    from ..studies import Results, Study


Executors = Callable[
    [Callable[[], Sequence["Sample"]]], AbstractContextManager["RayWorkers | None"]
]
"""Starts workers, given a function that opens the samples on each."""

_own = Group.create_default_parameters()
OBJECTS = Group("Which objects", sort_key=1)
RUNNING = Group("Images, seeds and running", sort_key=2)
"""Groups that `--help` shows below a study's own options."""

Several = Parameter(
    consume_multiple=True,
    negative=(),
    show_default=lambda values: " ".join(map(str, values)),
)
"""An option that takes several values."""


@Parameter(name="*", group=RUNNING)
@dataclass(frozen=True, kw_only=True)
class Running:
    """How studies are run.

    Args:
        seed: seed of everything random in the study.
        data_seed: seed of drawn scenes (scenes:N).
        examples: number of images kept as pictures for the report.
        max_failures: share of the images that may fail; from 20 on, more stop the run.
        retry_failed: retry images that failed before.
        scale: distribute the images over a Ray cluster, or over this machine's GPUs.
        workers: replicas of the model (with --scale); by default as many as fit.
        gpus: GPUs per replica (with --scale); by default 1 if there are any.
    """

    seed: int = 0
    data_seed: int = 0
    examples: int = 3
    max_failures: float = 0.5
    retry_failed: Annotated[bool, Parameter(negative=())] = False
    scale: Literal["ray"] | None = None
    workers: int | None = None
    gpus: float | None = None

    def check(self) -> None:
        """Raises `InputError` for numbers that no study accepts, before anything is opened."""
        check_seeds(seed=self.seed, data_seed=self.data_seed)
        check_counts(0, examples=self.examples)
        check_counts(workers=self.workers)

    def executors(self, model: str, loading: Loading, opened: Opened = load_model) -> Executors:
        """Returns the requested workers, or None, given what opens the samples on each."""
        return partial(
            workers_of,
            model,
            loading=loading,
            scale=self.scale,
            workers=self.workers,
            gpus=self.gpus,
            opened=opened,
        )


@Parameter(name="*", group=RUNNING)
@dataclass(frozen=True, kw_only=True)
class Common(Running):
    """Options of every study; group-specific ones are listed below.

    Args:
        out: folder for the results: a run directory of this study.
        limit: use only the first images, this many.
        curation: use only what this curation.json of the same data keeps.
    """

    out: Annotated[Path, Parameter(group=_own)]
    limit: int | None = None
    curation: Path | None = None

    def check(self) -> None:
        """Raises `InputError` for numbers that no study accepts, before anything is opened."""
        super().check()
        check_counts(limit=self.limit)


PARTLY = 3
"""Exit code of a study that is done although some images failed."""

NAMED = 10
"""How many failed images are named on the terminal; the report lists all."""

Make = Callable[[Any, Sequence["Sample"]], "Study"]
"""Makes the study of a model and samples, or of None for its options, before a model is loaded."""


def samples_of(
    data: str, seed: int, limit: int | None, curation: Path | None = None
) -> Sequence[Sample]:
    """Opens the data set named by DATA, as kept by `curation`, cut to `limit`."""
    from ..sources import open_source

    check_seeds(data_seed=seed)
    check_counts(limit=limit)
    samples = open_source(data, seed)
    if curation is not None:
        from ..curation import Curated

        samples = Curated.load(curation).apply(samples)
    return samples if limit is None else samples[:limit]


def check_seeds(**given: int) -> None:
    """Raises `InputError` for the first option that is not a seed."""
    from .. import arguments

    for name, value in given.items():
        arguments.seed(value, _option(name))


def check_counts(least: int = 1, /, **given: int | None) -> None:
    """Raises `InputError` for the first option that was set below `least`."""
    from .. import arguments

    for name, value in given.items():
        if value is not None:
            arguments.whole(value, _option(name), least)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def run_study(
    model: str,
    data: str,
    common: Common,
    loading: Loading,
    make: Make,
    opened: Opened = load_model,
) -> None:
    """Loads, runs with progress, prints the results and where they are.

    Args:
        opened: opens the model.

    Raises:
        SystemExit: code 3, if the study is done but some images failed.
    """
    common.check()
    if loading.device is not None and common.scale is None:
        from ..device import device_of

        device_of(loading.device)
    opens = partial(samples_of, data, common.data_seed, common.limit, common.curation)
    samples = opens()
    quiet()
    with Progress() as progress:
        # Before the model is loaded, which takes longer: what the data holds, and what it lacks.
        draft = make(None, samples)
        survey = draft.survey(common.out, progress.stage(f"reading {data}"))
        for line in draft.data_lines(survey):
            progress.say(line)
        draft.fitted(survey)
        with common.executors(model, loading, opened)(opens) as workers:
            if workers is not None and opened is load_model:
                vlm = workers.model()
            else:
                # For other kinds of models, a worker's description is not enough.
                vlm = opened(model, loading, workers is not None)
            bound = make(vlm, samples)
            study = replace(bound, max_failures=common.max_failures)
            results = study.run(
                common.out,
                progress.stage(f"{study.name} of {model}"),
                executor=workers,
                retry_failed=common.retry_failed,
                survey=survey,
            )
    _say_results(results, common.out)
    _say_failures(study, results, len(samples))


def _say_results(results: Results, out: Path) -> None:
    """Prints the results, and where they are."""
    from ..reporting import compose

    say_findings(compose(out).findings)
    say(f"results: {out}")
    say(f"next: retinoscope report {out}")
    wrong, every = results.incomplete
    if wrong:
        say(
            f"{wrong} of {every} rows rest on integrated gradients that do not add up "
            "(column completeness): take more steps"
        )


def _say_failures(study: Study, results: Results, n_samples: int) -> None:
    """Prints the images that failed.

    Raises:
        SystemExit: code 3, if some failed.
    """
    failed = results.failures()
    partly = len({sample for sample, _ in results.errors()}) - len(failed)
    if partly:
        say(f"{partly} of {n_samples} images failed in part: the report lists them")
    if failed:
        named = ", ".join(sample for sample, _ in failed[:NAMED])
        more = f" and {len(failed) - NAMED} more" if len(failed) > NAMED else ""
        say(f"{len(failed)} {study.what} failed: {named}{more}")
        raise SystemExit(PARTLY)


def say_findings(findings: Sequence[Finding]) -> None:
    """Prints the results, one sentence each, with intervals."""
    for finding in findings:
        say(finding.headline)
        say(f"  {finding.sentence}")
