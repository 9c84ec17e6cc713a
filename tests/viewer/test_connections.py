"""What happens on the sockets of a served page."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import retinoscope as rs

pytest.importorskip("fastapi", reason="needs the extra 'serve'")

from retinoscope.viewer._server import make_app


@pytest.fixture(scope="module")
def live(pocket: rs.VLM, serving: Callable[..., Any]) -> Iterator[Any]:
    with serving(make_app(pocket)) as served:
        yield served


def test_answers_do_not_wait_for_acknowledgements(live: Any) -> None:
    """With Nagle's algorithm on, each answer on a kept connection waits some 40 ms."""
    import httpx

    with httpx.Client(base_url=live.url) as client:
        assert client.get("/none").status_code == 404
        (connection,) = live.server.server_state.connections
        accepted = connection.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
