"""`retinoscope fit-lens`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Group, Parameter

from ..errors import InputError
from ._common import Several, check_counts, check_seeds, samples_of
from ._loading import Loading, load_model, quiet
from ._progress import Progress
from ._say import say

if TYPE_CHECKING:
    from ..lens import FittedKind

HELP = """Fit a lens to a model, for `run.lens(kind=...)` and `retinoscope lens`.

A Jacobian lens reads what a state causes later on, a tuned lens what the model will say next, and
a contextual lens which words of other texts have similar states. `retinoscope fit-lens KIND --help`
says more.

For example:

    retinoscope fit-lens jacobian pocket scenes:100 --out jacobian.safetensors

    retinoscope fit-lens show jacobian.safetensors
"""

TEXT = "text:"

fit_lens = App(name="fit-lens", help=HELP, help_format="markdown")

_DATA = Group("Data and running", sort_key=2)


@Parameter(name="*", group=_DATA)
@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """What a lens is fitted on.

    Args:
        limit: use only the first images or texts, this many.
        question: what is asked about each image.
        seed: seed of everything random in the fit.
        data_seed: seed of drawn scenes (scenes:N).
    """

    limit: int | None = None
    question: str = "Describe this image."
    seed: int = 0
    data_seed: int = 0

    def data(self, name: str) -> Sequence[Any]:
        """The samples, or the texts of text:FILE.

        Raises:
            InputError: no such data, or impossible numbers.
        """
        check_seeds(seed=self.seed)
        if not name.startswith(TEXT):
            return samples_of(name, self.data_seed, self.limit)
        check_seeds(data_seed=self.data_seed)
        check_counts(limit=self.limit)
        from ..recipes.lenses import corpus

        return corpus(name.removeprefix(TEXT))[: self.limit]


Out = Annotated[Path, Parameter(help="file of the lens, FILE.safetensors.")]
Folder = Annotated[Path, Parameter(help="folder of the index.")]
Shard = Annotated[
    str | None,
    Parameter(
        group=_DATA,
        help="fit the K-th of N parts, as K/N; `retinoscope fit-lens merge` joins them.",
    ),
]
Memory = Annotated[
    str | None,
    Parameter(group=_DATA, help="memory to use, such as 4GB; half of what is free by default."),
]
NewTokens = Annotated[
    int, Parameter(group=_DATA, help="length of the model's own answer about each image.")
]


@fit_lens.command
def jacobian(
    model: str,
    data: str,
    /,
    *,
    out: Out,
    at: Literal["text", "visual"] = "text",
    skip_first: int | None = None,
    new_tokens: NewTokens = 24,
    shard: Shard = None,
    memory: Memory = None,
    options: FitOptions = FitOptions(),
    loading: Loading = Loading(),  # noqa: B008 (frozen)
) -> None:
    """Fit a Jacobian lens: which words a state makes likelier at later positions, on average.

    For each layer one matrix is averaged: the derivative of the final states by the states of that
    layer, summed over the positions that they reach (Gurnee et al. 2026). About 100 prompts give a
    usable lens; published ones take up to 1000. A prompt takes a backward pass for every few
    dimensions of the model, so it helps to fit shards on several machines. It can be interrupted:
    the same command continues.

    For example:

        retinoscope fit-lens jacobian pocket scenes:100 --out text.safetensors

        retinoscope fit-lens jacobian pocket scenes:100 --at visual --out visual.safetensors

        retinoscope fit-lens jacobian smol text:corpus.txt --shard 1/4 --out 1.safetensors

    Args:
        model: pocket, smol, a Hub id or a folder.
        data: scenes:N, coco:FOLDER, folder:PATH, ...; or text:FILE, one text per line or the first
            column of a .csv.
        at: average over the states of text tokens or of visual tokens.
        skip_first: number of leading positions to leave out; by default 16 of a text (attention
            sinks, as published) and 1 of a prompt with an image.
    """
    check_counts(0, skip_first=skip_first, new_tokens=new_tokens)
    more = {"skip_first": skip_first, "new_tokens": new_tokens, "memory": memory}
    _fit("jacobian", model, data, out, options, loading, at=at, shard=_shard(shard), **more)


@fit_lens.command
def tuned(
    model: str,
    data: str,
    /,
    *,
    out: Out,
    at: Literal["all", "text", "visual"] = "all",
    steps: int = 250,
    new_tokens: NewTokens = 24,
    memory: Memory = None,
    options: FitOptions = FitOptions(),
    loading: Loading = Loading(),  # noqa: B008 (frozen)
) -> None:
    """Fit a tuned lens: what a state says about the model's next word, after an affine map.

    For each layer a map is trained that brings the readout of its states close to the model's own
    final distribution at the same position (Belrose et al. 2023). One prompt in five is held out to
    measure the loss. It can be interrupted: the same command continues.

    For example:

        retinoscope fit-lens tuned pocket scenes:100 --out tuned.safetensors

    Args:
        model: pocket, smol, a Hub id or a folder.
        data: scenes:N, coco:FOLDER, folder:PATH, ...; or text:FILE, one text per line or the first
            column of a .csv.
        at: train on the states of all tokens, of text tokens or of visual tokens.
        steps: number of steps.
    """
    check_counts(0, new_tokens=new_tokens)
    check_counts(steps=steps)
    more = {"steps": steps, "new_tokens": new_tokens, "memory": memory}
    _fit("tuned", model, data, out, options, loading, at=at, **more)


@fit_lens.command
def contextual(
    model: str,
    data: str,
    /,
    *,
    out: Folder,
    text_layers: Annotated[tuple[int, ...], Several] = (),
    width: int | None = None,
    shard: Shard = None,
    memory: Memory = None,
    options: FitOptions = FitOptions(),
    loading: Loading = Loading(),  # noqa: B008 (frozen)
) -> None:
    """Build the index of a contextual lens: states of words in texts, to compare states with.

    The texts go through the model's text decoder (LatentLens, Krojer et al. 2026). Of images, the
    captions are read, as answers to the question. It can be interrupted: the same command
    continues.

    For example:

        retinoscope fit-lens contextual pocket scenes:200 --out contexts

        retinoscope fit-lens contextual smol text:concepts.txt --out contexts

    Args:
        model: pocket, smol, a Hub id or a folder.
        data: text:FILE, one text per line or the first column of a .csv; or data with captions,
            such as scenes:N or coco:FOLDER.
        text_layers: layers of the texts to keep; by default 1, 2, 4, 8, 16, 24 and the last two.
        width: project the states at random to this many dimensions, for a smaller index whose
            similarities are estimates; by default they are kept as they are.
    """
    check_counts(width=width)
    more = {"text_layers": text_layers or None, "width": width, "memory": memory}
    _fit("contextual", model, data, out, options, loading, shard=_shard(shard), **more)


@fit_lens.command
def merge(
    *lenses: Path,
    out: Annotated[Path, Parameter(help="file of the result, or folder for contextual lenses.")],
    model: str | None = None,
    loading: Loading = Loading(),  # noqa: B008 (frozen)
) -> None:
    """Join the shards of one fit into the lens of all the data.

    For example:

        retinoscope fit-lens merge 1.safetensors 2.safetensors --out all.safetensors

        retinoscope fit-lens merge contexts1 contexts2 --model smol --out contexts

    Args:
        lenses: the files of all shards, or their folders in order.
        model: the model, which only contextual lenses need.
    """
    quiet()
    from ..recipes.lenses import merge as join

    join(lenses, out, None if model is None else load_model(model, loading))
    say(f"lens: {out}")


@fit_lens.command
def show(lens: Path, /) -> None:
    """Print what a fitted lens belongs to, and how it was fitted.

    For example:

        retinoscope fit-lens show jacobian.safetensors

    Args:
        lens: a lens fitted by this command, a published Jacobian lens (.pt), a folder written by
            tuned-lens, or an index of contexts.
    """
    from ..recipes.lenses import described

    for name, value in described(lens).items():
        say(f"{name:<20} {value}")


def _shard(given: str | None) -> tuple[int, int] | None:
    if given is None:
        return None
    k, _, n = given.partition("/")
    if not (k.isdecimal() and n.isdecimal()):
        raise InputError(f"expected --shard as K/N, such as 1/4, got {given!r}")
    return int(k), int(n)


def _fit(
    kind: FittedKind,
    model: str,
    data: str,
    out: Path,
    options: FitOptions,
    loading: Loading,
    **more: Any,
) -> None:
    """Opens data and model, fits with progress, and says where the lens is."""
    items = options.data(data)
    quiet()
    from ..recipes.lenses import described, fit

    vlm = load_model(model, loading)
    with Progress() as progress:
        fit(
            kind,
            vlm,
            items,
            out=out,
            seed=options.seed,
            question=options.question,
            corpus=data,
            progress=progress.stage(f"{kind} lens of {model}"),
            **more,
        )
    facts = described(out)
    if "held-out KL" in facts:
        say(f"held-out KL: {facts['held-out KL']}")
    say(f"lens: {out}")
