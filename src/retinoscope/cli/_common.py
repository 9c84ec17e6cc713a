"""What the study commands share: opening model and data, running, saying what came out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from ._progress import Progress

if TYPE_CHECKING:
    from ..data import Sample
    from ..engine import VLM
    from ..report import Claim
    from ..studies import Study


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Common:
    """Options of every study."""

    out: Annotated[Path, Parameter(help="folder for the results; a run directory of this study.")]
    seed: Annotated[int, Parameter(help="seed of everything random in the study.")] = 0
    data_seed: Annotated[int, Parameter(help="seed of drawn scenes (scenes:N).")] = 0
    limit: Annotated[int | None, Parameter(help="use only the first so many images.")] = None
    examples: Annotated[int, Parameter(help="images kept as pictures for the report.")] = 3
    min_cover: Annotated[
        float,
        Parameter(help="share of a token's box that a mask must cover; 0 is any overlap."),
    ] = 0.0
    exact: Annotated[
        Literal["incremental", "reference"],
        Parameter(
            help="how interventions are computed: only what they can reach, or one full forward "
            "pass each; the tables are the same."
        ),
    ] = "incremental"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Objects:
    """Which objects and questions are studied."""

    min_area: Annotated[
        float | None, Parameter(help="only objects of more visible pixels (the paper: 1000).")
    ] = None
    max_area: Annotated[
        float | None, Parameter(help="only objects of fewer visible pixels (the paper: 2000).")
    ] = None
    max_objects: Annotated[int | None, Parameter(help="at most so many objects an image.")] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Loading:
    """How the model is loaded."""

    device: Annotated[str | None, Parameter(help="where to compute, such as cuda or cpu.")] = None
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"] | None,
        Parameter(help="precision; float32 on a CPU, elsewhere that of the weights."),
    ] = None
    allow_pickle: Annotated[
        bool,
        Parameter(negative=(), help="also load pickled weights, which can run any code."),
    ] = False


Make = Callable[["VLM", Sequence["Sample"]], "Study"]


def samples_of(data: str, seed: int, limit: int | None) -> Sequence[Sample]:
    """The data set named by DATA, cut to `limit`."""
    from ..data import open_source
    from ..errors import InputError

    if limit is not None and limit < 1:
        raise InputError(f"--limit must be at least 1, got {limit}")
    samples = open_source(data, seed)
    return samples if limit is None or limit >= len(samples) else First(samples, limit)


@dataclass(frozen=True, eq=False)
class First(Sequence["Sample"]):
    """The first `n` of a sequence, still read one at a time."""

    samples: Sequence[Sample]
    n: int

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index):
        places = range(self.n)[index]
        if isinstance(places, range):
            return [self.samples[k] for k in places]
        return self.samples[places]


def quiet() -> None:
    """Only our own progress on the terminal."""
    import os

    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from transformers.utils import logging

    logging.disable_progress_bar()


def run_study(model: str, data: str, common: Common, loading: Loading, make: Make) -> None:
    """Loads, runs with progress, prints what came out and where it lies."""
    samples = samples_of(data, common.data_seed, common.limit)
    quiet()
    import torch

    from ..engine import load

    vlm = load(
        model,
        device=loading.device,
        dtype=None if loading.dtype is None else getattr(torch, loading.dtype),
        allow_pickle=loading.allow_pickle,
    )
    study = make(vlm, samples)
    with Progress() as progress:
        results = study.run(common.out, progress.stage(f"{study.name} of {model}"))
    failed = len({sample for sample, _ in results.errors()})
    if failed:
        print(f"{failed} of {len(samples)} images failed in full or in part: the report lists them")
    from ..report import compose

    say_claims(compose(common.out).claims)
    print(f"results: {common.out}")
    print(f"next: retinoscope report {common.out}")


def say_claims(claims: Sequence[Claim]) -> None:
    """The results in one sentence each, with intervals."""
    for claim in claims:
        print(f"{claim.title}: {claim.figure} {claim.versus}".rstrip())
        print(f"  {claim.sentence}")
