"""Starting the page: images, folder, address, token."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from ..data import Sample
from ..errors import InputError, MissingExtraError
from ._collection import Collection, CollectionOptions
from ._page import ASSETS, asset

DEFAULT = CollectionOptions()


def serve_collection(
    samples: Sequence[Sample],
    out: str | Path,
    options: CollectionOptions = DEFAULT,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    open_browser: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Serves the page until it is interrupted; what is finished is on disk at once.

    On the loopback interface everybody on this machine can take part; on any other, who has the
    token in the address that is printed.

    Args:
        samples: the images, and their captions to be read.
        out: the folder of sessions.
        say: is given the line with the address.

    Raises:
        InputError: no images, a folder of something else, or an address that cannot be listened
            on.
        MissingExtraError: without the extra "serve".
    """
    try:
        import uvicorn  # noqa: F401

        from ..viewer.serving import address_of, host_names, is_loopback, listen, run_app
        from ._server import make_app
    except ModuleNotFoundError as error:
        if isinstance(error, MissingExtraError):
            raise
        raise MissingExtraError(str(error.name), "serve") from error
    for name in ASSETS:
        asset(name)
    if not 0 <= port <= 65_535:
        raise InputError(f"expected a port from 0 to 65535, got {port}")
    # First, for the collection writes its folder: what is refused leaves nothing behind.
    listener = listen(host, port)
    try:
        collection = Collection(samples, out, options)
    except BaseException:
        listener.close()
        raise
    local = is_loopback(host)
    token = None if local else secrets.token_urlsafe(24)
    app = make_app(collection, token=token, names=host_names(host), any_address=not local)
    address = address_of(host, listener.getsockname()[1])
    full = address if token is None else f"{address}?token={token}"
    say(f"{len(collection.shown)} images, sessions in {collection.out}: {full}")
    run_app(app, listener, open_at=full if open_browser else None)
