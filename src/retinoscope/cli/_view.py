"""`retinoscope view` and `retinoscope serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ._common import Loading, load_model, quiet, samples_of
from ._progress import Progress
from ._say import say

if TYPE_CHECKING:
    from ..engine import VLM


def view(
    folder: Path,
    /,
    *,
    out: Path | None = None,
    lens: int = 50,
    data: str | None = None,
    data_seed: int = 0,
    model: str | None = None,
    no_model: Annotated[bool, Parameter(negative=())] = False,
    loading: Loading = Loading(),  # noqa: B008 (frozen)
) -> None:
    """Make a page to look at finished studies: images, tokens, words, attention, tables.

    The page is a folder that opens from disk, without a network. A run may be someone else's, so
    what it names is opened only if it is packaged (pocket and its like, drawn scenes); any other
    model and data are given with --model and --data, and must be those of the run. It says which
    views are missing and why. Given again, it goes on where it stopped and keeps what is still
    right.

    For example:

        retinoscope view runs/demo

        retinoscope view runs/llava --model llava-hf/llava-1.5-7b-hf --data coco:FOLDER

    Args:
        folder: what a study wrote with --out, or a folder of such folders.
        out: folder for the page; "view" in the studies' folder by default.
        lens: so many images, the first ones, get their words and attention (megabytes each).
        data: the studies' data, as DATA of the study's command.
        data_seed: seed of drawn scenes (with --data scenes:N).
        model: the studies' model, where it is not a packaged one.
        no_model: load none: there are no token boxes, words and attention then.
    """
    from ..errors import InputError
    from ..viewer import export_view

    if lens < 0:
        raise InputError(f"--lens must be at least 0, got {lens}")
    if model is not None and no_model:
        raise InputError("expected --model or --no-model, got both")
    quiet()

    def load(name: str) -> VLM:
        return load_model(name, loading)

    with Progress() as progress:
        path, capabilities = export_view(
            folder,
            out,
            load=None if no_model else load,
            model=model,
            data=None if data is None else samples_of(data, data_seed, None),
            n_lens=lens,
            progress=progress.stage("view"),
        )
    for one in capabilities:
        if not one.ok:
            say(f"no {one.name}: {one.why}")
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
    timeout: float = 120.0,
    loading: Loading = Loading(),  # noqa: B008 (frozen)
) -> None:
    """Look at a model at work: drop an image, ask, cut and replace tokens, see the answer change.

    Serves a page on this machine until Ctrl-C. On another address than this machine's own it asks
    for the token that it prints. It reads the model and the runs that it was started with, nothing
    else.

    For example:

        retinoscope serve pocket --open

        retinoscope serve llava-hf/llava-1.5-7b-hf runs/llava --device cuda

    Args:
        model: pocket, a Hugging Face Hub id or a folder.
        runs: finished studies that the page shows as well.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        open: open the page in the browser.
        data: images to begin with; with runs, their data where it is not drawn.
        data_seed: seed of drawn scenes (with --data scenes:N).
        timeout: seconds that a request may take, waiting for its turn included.
    """
    from ..studies.runs import collect
    from ..viewer import serve

    found = [run for folder in runs for run in collect(folder)]
    samples = None if data is None else samples_of(data, data_seed, None)
    quiet()
    serve(
        load_model(model, loading),
        found,
        host=host,
        port=port,
        open_browser=open,
        data=samples,
        timeout=timeout,
        say=say,
    )
