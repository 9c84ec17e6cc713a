"""What the study commands share: opening model and data, running, saying what came out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from ._progress import Progress
from ._say import say

if TYPE_CHECKING:
    from ..data import Sample
    from ..engine import VLM
    from ..report.findings import Finding
    from ..scale import RayWorkers
    from ..studies import Study


_own = Group.create_default_parameters()
OBJECTS = Group("Which objects", sort_key=1)
RUNNING = Group("Images, seeds and running", sort_key=2)
_loading = Group("The model", sort_key=3)
"""What `--help` of a study shows below the study's own options."""

Several = Parameter(
    consume_multiple=True,
    negative=(),
    show_default=lambda chosen: " ".join(str(one) for one in chosen),
)
"""An option that takes several values."""


@Parameter(name="*", group=RUNNING)
@dataclass(frozen=True, kw_only=True)
class Common:
    """Options of every study; what only some of them use stands below."""

    out: Annotated[
        Path,
        Parameter(group=_own, help="folder for the results; a run directory of this study."),
    ]
    seed: Annotated[int, Parameter(help="seed of everything random in the study.")] = 0
    data_seed: Annotated[int, Parameter(help="seed of drawn scenes (scenes:N).")] = 0
    limit: Annotated[int | None, Parameter(help="use only the first so many images.")] = None
    curation: Annotated[
        Path | None,
        Parameter(help="use only what this curation.json of the same data keeps."),
    ] = None
    examples: Annotated[int, Parameter(help="images kept as pictures for the report.")] = 3
    max_failures: Annotated[
        float,
        Parameter(help="share of the images that may fail; from 20 on, more stop the run."),
    ] = 0.5
    retry_failed: Annotated[
        bool, Parameter(negative=(), help="try images again that failed before.")
    ] = False
    scale: Annotated[
        Literal["ray"] | None,
        Parameter(help="spread the images over a Ray cluster, or over this machine's GPUs."),
    ] = None
    workers: Annotated[
        int | None, Parameter(help="replicas of the model (with --scale); by default all fit.")
    ] = None
    gpus: Annotated[
        float | None,
        Parameter(help="GPUs of each replica (with --scale); by default 1 if there are any."),
    ] = None


@Parameter(name="*", group=RUNNING)
@dataclass(frozen=True, kw_only=True)
class Covering(Common):
    """Options of studies that look for an object's tokens."""

    min_cover: Annotated[
        float,
        Parameter(
            group=_own,
            help="share of a token's box that a mask must cover; 0 is any overlap.",
        ),
    ] = 0.0


@Parameter(name="*", group=RUNNING)
@dataclass(frozen=True, kw_only=True)
class Intervening(Common):
    """Options of studies that make interventions."""

    exact: Annotated[
        Literal["incremental", "reference"],
        Parameter(
            help="how interventions are computed: only what they can reach, or one full forward "
            "pass each; the tables are the same."
        ),
    ] = "incremental"


@Parameter(name="*", group=RUNNING)
@dataclass(frozen=True, kw_only=True)
class CoveringAndIntervening(Covering, Intervening):
    """Options of studies that do both."""


@Parameter(name="*", group=_loading)
@dataclass(frozen=True, kw_only=True)
class Loading:
    """How the model is loaded."""

    device: Annotated[str | None, Parameter(help="where to compute, such as cuda or cpu.")] = None
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"] | None,
        Parameter(help="precision; float32 on a CPU, elsewhere that of the weights."),
    ] = None
    device_map: Annotated[
        str | None,
        Parameter(help="spread the weights: auto, balanced or sequential (in place of --device)."),
    ] = None
    quantization: Annotated[
        Literal["4bit", "8bit"] | None, Parameter(help="weights in 4 or 8 bits (bitsandbytes).")
    ] = None
    allow_pickle: Annotated[
        bool,
        Parameter(negative=(), help="also load pickled weights, which can run any code."),
    ] = False


PARTLY = 3
"""Exit code of a study that is done, while some images failed."""

NAMED = 10
"""Images that failed, named on the terminal; the report has all."""

Make = Callable[[Any, Sequence["Sample"]], "Study"]
"""Makes the study of a model and samples; of None for its options alone, before one is loaded."""


def samples_of(
    data: str, seed: int, limit: int | None, curation: Path | None = None
) -> Sequence[Sample]:
    """The data set named by DATA, what `curation` keeps of it, cut to `limit`."""
    from ..sources import open_source

    check_seeds(data_seed=seed)
    check_counts(limit=limit)
    samples = open_source(data, seed)
    if curation is not None:
        from ..curation import Curated

        samples = Curated.load(curation).apply(samples)
    return samples if limit is None else samples[:limit]


def check_numbers(common: Common) -> None:
    """Raises `InputError` for numbers that no study can take, before anything is opened."""
    check_seeds(seed=common.seed, data_seed=common.data_seed)
    check_counts(0, examples=common.examples)
    check_counts(limit=common.limit, workers=common.workers)


def check_seeds(**given: int) -> None:
    """Raises `InputError` for the first option that is no seed."""
    from .. import arguments

    for name, value in given.items():
        arguments.seed(value, _option(name))


def check_counts(least: int = 1, /, **given: int | None) -> None:
    """Raises `InputError` for the first option that somebody set below `least`."""
    from .. import arguments

    for name, value in given.items():
        if value is not None:
            arguments.whole(value, _option(name), least)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def quiet() -> None:
    """Only our own progress on the terminal."""
    import os

    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from transformers.utils import logging

    logging.disable_progress_bar()


def run_study(
    model: str,
    data: str,
    common: Common,
    loading: Loading,
    make: Make,
    opened: Callable[[str, Loading], Any] | None = None,
) -> None:
    """Loads, runs with progress, prints what came out and where it lies.

    Args:
        opened: loads what the study takes, where that is no VLM alone; as `load_model` if None.

    Raises:
        SystemExit: code 3, where it is done and some images failed.
    """
    check_numbers(common)
    if loading.device is not None and common.scale is None:
        from ..device import device_of

        device_of(loading.device)
    samples = samples_of(data, common.data_seed, common.limit, common.curation)
    quiet()
    with Progress() as progress:
        # Before the model is loaded, which takes longer: what the data offers, and what it lacks.
        draft = make(None, samples)
        survey = draft.survey(common.out, progress.stage(f"reading {data}"))
        for line in draft.told(survey):
            progress.say(line)
        draft.fitted(survey)
        with _workers(model, data, common, loading) as workers:
            vlm = (opened or load_model)(model, loading) if workers is None else workers.model()
            made = make(vlm, samples)
            study = replace(made, max_failures=common.max_failures)
            results = study.run(
                common.out,
                progress.stage(f"{study.name} of {model}"),
                executor=workers,
                retry_failed=common.retry_failed,
                survey=survey,
            )
    from ..reporting import compose

    say_findings(compose(common.out).findings)
    say(f"results: {common.out}")
    say(f"next: retinoscope report {common.out}")
    wrong, every = results.incomplete
    if wrong:
        say(
            f"{wrong} of {every} rows rest on integrated gradients that do not add up "
            "(column completeness): take more steps"
        )
    failed = results.failures()
    partly = len({sample for sample, _ in results.errors()}) - len(failed)
    if partly:
        say(f"{partly} of {len(samples)} images failed in part: the report lists them")
    if failed:
        named = ", ".join(sample for sample, _ in failed[:NAMED])
        more = f" and {len(failed) - NAMED} more" if len(failed) > NAMED else ""
        say(f"{len(failed)} of {len(samples)} images failed: {named}{more}")
        raise SystemExit(PARTLY)


def load_model(model: str, loading: Loading) -> VLM:
    """The model that the options name."""
    import torch

    from ..engine import load

    return load(
        model,
        device=loading.device,
        dtype=None if loading.dtype is None else getattr(torch, loading.dtype),
        device_map=loading.device_map,
        quantization=loading.quantization,
        allow_pickle=loading.allow_pickle,
    )


def open_any(model: str, loading: Loading) -> Any:
    """A model of any kind; VLMs are loaded as the options say.

    Raises:
        InputError: options of loading, and the model is no VLM.
    """
    from ..engine import VLM
    from ..errors import InputError
    from ..studies import open_subject

    found = open_subject(model, lambda name: load_model(name, loading))
    told = [one.name for one in fields(loading) if getattr(loading, one.name) not in (None, False)]
    if told and not isinstance(found, VLM):
        raise InputError(
            f"--{told[0].replace('_', '-')} says how a vision-language model is loaded, and "
            f"{model} is none: leave it out"
        )
    return found


def _load_on_worker(model: str, loading: Loading) -> VLM:
    import torch

    quiet()
    if loading.device is None and loading.device_map is None and torch.cuda.is_available():
        loading = replace(loading, device="cuda")
    return load_model(model, loading)


@contextmanager
def workers_of(
    model: str,
    samples: Callable[[], Sequence[Sample]],
    *,
    loading: Loading,
    scale: Literal["ray"] | None,
    workers: int | None,
    gpus: float | None,
) -> Iterator[RayWorkers | None]:
    """The workers that the options ask for, which open `samples` themselves; or None."""
    if scale is None:
        for name, given in (("workers", workers), ("gpus", gpus)):
            if given is not None:
                from ..errors import InputError

                raise InputError(f"--{name} says how to spread a study: it needs --scale ray")
        yield None
        return
    from ..scale import RayWorkers

    with RayWorkers(
        partial(_load_on_worker, model, loading),
        samples,
        workers=workers,
        gpus=0 if loading.device == "cpu" else gpus,
    ) as replicas:
        yield replicas


def _workers(
    model: str, data: str, common: Common, loading: Loading
) -> AbstractContextManager[RayWorkers | None]:
    return workers_of(
        model,
        partial(samples_of, data, common.data_seed, common.limit, common.curation),
        loading=loading,
        scale=common.scale,
        workers=common.workers,
        gpus=common.gpus,
    )


def say_findings(findings: Sequence[Finding]) -> None:
    """The results in one sentence each, with intervals."""
    for finding in findings:
        say(finding.headline)
        say(f"  {finding.sentence}")
