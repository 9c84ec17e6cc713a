"""What happens on the sockets of a served page."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from PIL import Image

import retinoscope as rs

pytest.importorskip("fastapi", reason="needs the extra 'serve'")

from retinoscope.viewer._server import make_app

PNG = {"content-type": "image/png"}


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


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


@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1), (1, 16_000_000)])
def test_a_line_of_pixels_is_one_line(live: Any, size: tuple[int, int]) -> None:
    """163 bytes took 4.6 GB; what would be made of them is refused before it is made."""
    import httpx

    with httpx.Client(base_url=live.url, timeout=60) as client:
        sent = client.post("/api/images", content=png(Image.new("RGB", size)), headers=PNG)
        assert sent.status_code == 200
        body = {"image": sent.json()["image"], "question": "What is it?"}
        answer = client.post("/api/ask", json=body)
        assert answer.status_code == 400
        assert "20,000,000" in answer.json()["error"]


def test_a_large_square_is_told_the_limit_that_holds(live: Any) -> None:
    import httpx

    content = png(Image.new("1", (20_000, 20_000)))
    answer = httpx.post(f"{live.url}/api/images", content=content, headers=PNG, timeout=60)
    assert (answer.status_code, "16,000,000" in answer.json()["error"]) == (400, True)
    content = png(Image.new("1", (4_000, 4_000)))
    answer = httpx.post(f"{live.url}/api/images", content=content, headers=PNG, timeout=60)
    assert answer.status_code == 200
