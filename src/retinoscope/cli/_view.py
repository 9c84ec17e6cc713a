"""`retinoscope view` and `retinoscope serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..errors import InputError
from ._common import Loading, Several, check_counts, load_model, quiet, samples_of
from ._progress import Progress
from ._say import say


def view(
    folder: Path,
    /,
    *,
    out: Path | None = None,
    lens: int = 50,
    kinds: Annotated[tuple[str, ...], Several] = ("logit",),
    lenses: Annotated[tuple[Path, ...], Several] = (),
    data: str | None = None,
    data_seed: int = 0,
    model: str | None = None,
    no_model: Annotated[bool, Parameter(negative=())] = False,
    loading: Loading = Loading(),  # noqa: B008 (frozen)
) -> None:
    """Make a page for exploring finished studies: images, tokens, words, attention, tables.

    The page is a folder that opens from disk, without a network. Since a run may come from somebody
    else, the model and data that it names are opened only if they are packaged (pocket and similar
    models, drawn scenes); others are given with --model and --data, and must be those of the run.
    The page says which views are missing and why. Repeating the command continues where it stopped
    and keeps what is still valid.

    For example:

        retinoscope view runs/demo

        retinoscope view runs/llava --model llava-hf/llava-1.5-7b-hf --data coco:FOLDER

        retinoscope view runs/demo --kinds logit embedding --lens 10

    Args:
        folder: what a study wrote with --out, or a folder of such folders.
        out: folder for the page; "view" in the studies' folder by default.
        lens: number of images, from the first, with words and attention (megabytes each).
        kinds: kinds of lens that need nothing but the model: logit, embedding, patchscope (slow).
        lenses: fitted lenses to read with as well: files or folders of `retinoscope fit-lens`.
        data: the studies' data, as DATA of the study's command.
        data_seed: seed of drawn scenes (with --data scenes:N).
        model: the studies' model, if it is not a packaged one.
        no_model: load no model; then there are no token boxes, words and attention.
    """
    check_counts(0, lens=lens)
    if model is not None and no_model:
        raise InputError("expected --model or --no-model, got both")
    quiet()
    from ..lens import load as load_lens
    from ..viewer import export_view

    with Progress() as progress:
        path, capabilities = export_view(
            folder,
            out,
            load=None if no_model else lambda name: load_model(name, loading),
            model=model,
            data=None if data is None else samples_of(data, data_seed, None),
            n_lens=lens,
            kinds=[*kinds, *map(load_lens, lenses)],
            progress=progress.stage("view"),
        )
    for missing in (one for one in capabilities if not one.ok):
        say(f"no {missing.name}: {missing.why}")
    say(f"view: {path}")


def serve(
    model: str,
    runs: Annotated[tuple[Path, ...], Parameter(negative=())] = (),
    /,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    open: Annotated[bool, Parameter(negative=())] = False,
    data: str | None = None,
    data_seed: int = 0,
    lenses: Annotated[tuple[Path, ...], Several] = (),
    timeout: float = 120.0,
    loading: Loading = Loading(),  # noqa: B008 (frozen)
) -> None:
    """Watch a model at work: drop an image, ask, edit tokens, and see the answer change.

    Serves a page on this machine until Ctrl-C. On an address other than this machine's own it asks
    for the token that it prints. It reads only the model and the runs that it was started with.

    For example:

        retinoscope serve pocket --open

        retinoscope serve llava-hf/llava-1.5-7b-hf runs/llava --device cuda

        retinoscope serve pocket --lenses jacobian.safetensors

    Args:
        model: pocket, a Hugging Face Hub id or a folder.
        runs: finished studies to show as well.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        open: open the page in the browser.
        data: images to begin with; with runs, their data if it is not drawn.
        data_seed: seed of drawn scenes (with --data scenes:N).
        lenses: fitted lenses to read with: files or folders of `retinoscope fit-lens`.
        timeout: seconds that a request may take, including waiting for its turn.
    """
    from ..lens import load
    from ..studies.runs import collect
    from ..viewer import serve

    results = [run for folder in runs for run in collect(folder)]
    samples = None if data is None else samples_of(data, data_seed, None)
    quiet()
    vlm = load_model(model, loading)
    serve(
        vlm,
        results,
        host=host,
        port=port,
        open_browser=open,
        data=samples,
        lenses=[load(file, vlm) for file in lenses],
        timeout=timeout,
        say=say,
    )
