"""Starts the live page: address, token, browser."""

from __future__ import annotations

import ipaddress
import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..errors import InputError, MissingExtraError

if TYPE_CHECKING:
    import uvicorn

    from ..data import Sample
    from ..engine import VLM
    from ..lens import Kind
    from ..studies.runs import StudyRun
    from ._library import Library

N_EXAMPLES = 24


def serve(
    vlm: VLM,
    runs: Sequence[StudyRun] = (),
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    open_browser: bool = False,
    data: Sequence[Sample] | None = None,
    lenses: Sequence[Kind] = (),
    timeout: float = 120.0,
    say: Callable[[str], None] = print,
) -> None:
    """Serves the page of a live model until it is interrupted.

    On the loopback interface everyone on this machine can use it; on any other, everyone with the
    token in the printed address.

    Args:
        vlm: the model.
        runs: finished studies that the page shows as well; nothing else on disk can be read.
        host: the address to listen on; 127.0.0.1 is this machine only.
        port: the port; 0 takes a free one.
        open_browser: open the page in a browser.
        data: the samples of `runs`, if these are not drawn; without runs, images to start with (the
            first `N_EXAMPLES`). A packaged model starts with drawn scenes. The mean visual token is
            taken over the first of them, or over drawn scenes if there is no `data`.
        lenses: fitted lenses that the page offers besides those that need nothing but the model.
        timeout: maximum seconds for a request to the model, waiting included.
        say: called with the line that contains the address.

    Raises:
        InputError: cannot listen on the address, this copy lacks the front end, or a lens was
            fitted to another model.
        MissingExtraError: the extra "serve" is not installed.
    """
    try:
        import uvicorn  # noqa: F401

        from ._server import make_app
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "serve") from error
    from ._session import Session

    _check(port, timeout)
    local = is_loopback(host)
    token = None if local else secrets.token_urlsafe(24)
    app = make_app(
        vlm,
        _library(vlm, runs, data),
        token=token,
        names=host_names(host),
        any_address=not local,
        timeout=timeout,
        session=Session(vlm, data, lenses),
    )
    listener = listen(host, port)
    address = address_of(host, listener.getsockname()[1])
    if token is not None:
        address += f"?token={token}"
    say(f"{vlm.name}: {address}")
    run_app(app, listener, open_at=address if open_browser else None)


def _check(port: int, timeout: float) -> None:
    from ._page import ASSETS, asset

    for name in ASSETS:
        asset(name)
    if not 0 <= port <= 65_535:
        raise InputError(f"expected a port from 0 to 65535, got {port}")
    if timeout <= 0:
        raise InputError(f"expected a timeout above 0 seconds, got {timeout:g}")


def _library(vlm: VLM, runs: Sequence[StudyRun], data: Sequence[Sample] | None) -> Library | None:
    """Returns the documents that the page starts with; None without runs and images."""
    from ..data import scenes
    from ..pocket import MODELS
    from ._library import Library
    from ._reopen import Reopened, reopen

    if data is None and not runs and vlm.name in MODELS:
        data = scenes(N_EXAMPLES)
    if runs:
        opened = reopen(runs, lambda name: vlm, data, vlm.name)
    else:
        opened = Reopened(vlm, samples=None if data is None else data[:N_EXAMPLES])
    if not runs and not opened.samples:
        return None
    return Library(
        runs,
        opened,
        mode="live",
        n_lens=10**6,
        image_src=lambda folder, index: f"api/samples/{folder}/{index}.jpg",
    )


def run_app(app: object, listener: socket.socket, *, open_at: str | None = None) -> None:
    """Serves an application on `listener` until it is interrupted.

    Args:
        open_at: an address to open in the browser, or None.
    """
    if open_at is not None:
        threading.Timer(0.5, webbrowser.open, [open_at]).start()
    server_of(app).run(sockets=[listener])


def server_of(app: object) -> uvicorn.Server:
    """Returns a server for an application, with all limits; it serves what `listen` returns."""
    import uvicorn

    from ._protocol import BoundedProtocol, most_connections

    class Protocol(BoundedProtocol):
        most = most_connections()

    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        http=Protocol,
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        timeout_keep_alive=10,
        # A client that has sent half a body must not delay the shutdown.
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=32_768,
    )
    return uvicorn.Server(config)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_names(host: str) -> tuple[str, ...]:
    """Returns the names that a server on `host` answers to."""
    names = ["localhost", "127.0.0.1", "::1", host]
    local = is_loopback(host)
    return tuple(names if local else [*names, socket.gethostname(), socket.getfqdn()])


def listen(host: str, port: int) -> socket.socket:
    """Returns a listening socket; port 0 takes a free one. Raises InputError on failure."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Name the protocol: asyncio sets TCP_NODELAY only on sockets that do. Without it, every
    # response on a kept-alive connection waits some 40 ms for the client's acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # From now on connections queue until the server, announced before, accepts them.
        listener.listen()
    except OSError as error:
        listener.close()
        raise InputError(
            f"cannot listen on {host}, port {port}: {(error.strerror or str(error)).lower()}; "
            "give another --port (0 takes a free one) or --host"
        ) from error
    return listener


def address_of(host: str, port: int) -> str:
    """Returns the address to open in a browser."""
    if host in ("0.0.0.0", "::", ""):
        host = socket.gethostname()
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
