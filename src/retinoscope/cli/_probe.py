"""`retinoscope probe`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

from cyclopts import Parameter

from ._common import NAMED, PARTLY, check_counts, check_seeds, quiet, samples_of, say_findings
from ._progress import Progress
from ._say import say

Task = Literal[
    "name",
    "color",
    "size",
    "present",
    "semantic",
    "parts",
    "foreground",
    "instances",
    "relation",
]
EVERY: tuple[Task, ...] = get_args(Task)
_Many = Parameter(negative=(), consume_multiple=True)


def probe(
    model: str,
    data: str,
    /,
    *,
    out: Annotated[Path, Parameter(help="folder for the results; a run directory.")],
    encoder: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    tasks: Annotated[tuple[Task, ...], _Many] = EVERY,
    layers: Annotated[tuple[str, ...], _Many] = (),
    seeds: int = 3,
    seed: int = 0,
    data_seed: int = 0,
    limit: int | None = None,
    curation: Path | None = None,
    classes: Annotated[tuple[str, ...], _Many] = (),
    controls: bool = True,
    locations: int = 6000,
    cache: Path | None = None,
    precision: Literal["float16", "float32"] = "float16",
    examples: int = 3,
) -> None:
    """Fit light heads to frozen layers: what do they hold of names and attributes, and of places?

    Every task is asked of every layer on equal terms: heads of one size, the same images, the same
    search over regularisation on validation images, the test images scored once. Beside it stand
    random weights, raw pixels, the constant answer, control and shuffled labels, and the best that
    one answer per location can reach.

    For example:

        retinoscope probe pocket scenes:2000 --out runs/probe

        retinoscope probe openai/clip-vit-base-patch16 coco:FOLDER --encoder facebook/dinov2-base
        --out runs/clip-dino

        retinoscope probe small:objectives scenes:2000 --no-controls --out runs/objectives

    The last one asks whether language helps with all else equal: encoders of one small architecture
    and one budget, trained on the same scenes for different objectives. With
    small:objectives@FOLDER it takes all seeds that `retinoscope train encoders` wrote to FOLDER.

    Args:
        model: pocket, planted:NAME, a Hub id, or a folder: a vision-language model, a vision-only
            or a contrastive one; timm:NAME; small:NAME, or small:objectives for the comparison.
        data: scenes:N, squares:N, coco:FOLDER, folder:PATH, ...
        encoder: a further encoder to compare with; give it several times for several.
        tasks: what is asked.
        layers: names such as vision.6, projector, decoder.4; by default the first, the middle and
            the last of each part.
        seeds: how many times each head is trained, on other draws of training images.
        seed: of splits, draws and random weights.
        data_seed: seed of drawn scenes (scenes:N).
        limit: use only the first so many images.
        curation: use only what this curation.json of the same data keeps.
        classes: the names that objects may have; by default those that occur.
        controls: also random weights, raw pixels, control labels and shuffled labels.
        locations: at most so many locations train a head.
        cache: folder for features, shared by several runs; by default in the results' folder.
        precision: in which features are kept.
        examples: test images kept as pictures for the report.
    """
    check_seeds(seed=seed)
    check_counts(0, examples=examples)
    check_counts(seeds=seeds)
    check_counts(100, locations=locations)
    samples = samples_of(data, data_seed, limit, curation)
    quiet()
    from ..studies import Probe

    with Progress() as progress:
        study = Probe(
            [one for name in (model, *encoder) for one in _named(name)],
            samples,
            tasks=tasks,
            layers=layers or None,
            seeds=seeds,
            seed=seed,
            classes=classes or None,
            controls=controls,
            locations=locations,
            cache=cache,
            precision=precision,
            n_examples=examples,
        )
        results = study.run(out, progress.stage(f"probe of {model}"))
    from ..reporting import compose

    say_findings(compose(out).findings)
    say(f"results: {out}")
    say(f"next: retinoscope report {out}")
    failed = results.failures()
    if failed:
        named = ", ".join(sample for sample, _ in failed[:NAMED])
        say(f"{len(failed)} of {len(samples)} images could not be read: {named}")
        raise SystemExit(PARTLY)


OBJECTIVES = (
    "contrastive-class",
    "contrastive-max",
    "captioning",
    "mae",
    "distillation",
    "supervised",
    "random",
)
"""What is compared by `small:objectives`."""


def _named(name: str) -> tuple[str, ...]:
    """The encoders that a name stands for."""
    what, _, folder = name.partition("@")
    if what != "small:objectives":
        return (name,)
    from ..encoders import small_names
    from ..errors import InputError

    every = small_names(folder or None)
    kept = tuple(one for one in every if _objective(one) in OBJECTIVES)
    if not kept:
        raise InputError(
            f"expected trained encoders ({', '.join(OBJECTIVES)}) in {folder or 'the package'}, "
            "got none: train them with `retinoscope train encoders`"
        )
    return kept


def _objective(name: str) -> str:
    return name.removeprefix("small:").partition("@")[0].partition("/")[0]
