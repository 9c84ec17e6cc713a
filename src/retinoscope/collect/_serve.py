"""Starting the server: images, folder, address, token."""

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
    """Serves the page until interrupted; finished images are on disk at once.

    On the loopback interface everybody on this machine can take part; on any other, whoever has the
    token in the printed address.

    Args:
        samples: the images, and the captions to read.
        out: the folder of sessions.
        say: called with the line that gives the address.

    Raises:
        InputError: no images, a folder with other content, or an address that cannot be bound.
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
    # Bind first: the collection writes its folder, and a refused start must leave nothing behind.
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
