"""What happens on the sockets of a served page."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from PIL import Image

import retinoscope as rs

pytest.importorskip("fastapi", reason="needs the extra 'serve'")

from retinoscope.viewer import _protocol
from retinoscope.viewer._clients import Clients, Receiving
from retinoscope.viewer._guard import Limits
from retinoscope.viewer._serve import listen
from retinoscope.viewer._server import make_app
from retinoscope.viewer._session import ClientItems, GoneError

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


def head(path: str, length: int, kind: str = "image/png") -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def held(port: int, content: bytes) -> socket.socket:
    link = socket.create_connection(("127.0.0.1", port), timeout=20)
    link.sendall(content)
    return link


def closed_within(link: socket.socket, seconds: float) -> bool:
    link.settimeout(seconds)
    try:
        while link.recv(65_536):
            pass
    except TimeoutError:
        return False
    except ConnectionResetError:
        pass
    return True


@pytest.mark.parametrize("sent", [b"", b"GET /none HT", b"GET /none HTTP/1.1\r\nHost: x\r\nA: b"])
def test_a_head_has_a_time_limit(live: Any, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(_protocol, "HEAD_SECONDS", 0.3)
    with held(live.port, sent) as link:
        assert closed_within(link, 5)


def test_a_head_that_trickles_gets_no_more_time(live: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_protocol, "HEAD_SECONDS", 0.6)
    start = time.monotonic()
    with held(live.port, b"GET /none HTTP/1.1\r\nA: ") as link:
        link.settimeout(0.1)
        while time.monotonic() - start < 5:
            try:
                link.sendall(b"x")
                if not link.recv(10):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
    assert time.monotonic() - start < 4


def test_idle_connections_give_way(live: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx

    monkeypatch.setattr(live.server.config.http_protocol_class, "most", 20)
    idle = [held(live.port, b"") for _ in range(130)]
    try:
        for _ in range(5):
            assert httpx.get(f"{live.url}/api/manifest", timeout=20).status_code == 200
        assert len(live.server.server_state.connections) <= 21
    finally:
        for link in idle:
            link.close()


def test_connections_that_all_work_refuse_another_one_with_a_time(
    live: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live.server.config.http_protocol_class, "most", 3)
    working = [held(live.port, head("/api/ask", 100, "application/json")) for _ in range(3)]
    try:
        time.sleep(0.3)
        with held(live.port, b"") as link:
            found = link.recv(1_000)
        assert found.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in found
    finally:
        for link in working:
            link.close()


def test_slow_uploads_leave_room_for_others(live: Any) -> None:
    """A client that has as many as it may is told when to come back; another one is not."""
    import httpx

    content = png(Image.new("RGB", (8, 8)))
    slow = [held(live.port, head("/api/images", 9_000)) for _ in range(Limits().uploads)]
    try:
        time.sleep(0.3)
        url = f"{live.url}/api/images"
        answer = httpx.post(url, content=content, headers=PNG)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        named = httpx.get(f"{live.url}/").cookies
        answer = httpx.post(url, content=content, headers=PNG, cookies=dict(named))
        assert answer.status_code == 200
    finally:
        for link in slow:
            link.close()


@pytest.mark.parametrize("sent", [b"", head("/api/images", 9_000) + b"half", b"GET / HT"])
def test_stopping_does_not_wait_for_clients(
    pocket: rs.VLM, serving: Callable[..., Any], sent: bytes
) -> None:
    with serving(make_app(pocket)) as served:
        link = held(served.port, sent)
        time.sleep(0.3)
        start = time.monotonic()
    assert time.monotonic() - start < 2.5
    link.close()


def test_a_body_with_a_length_and_in_chunks_ends_the_connection(live: Any) -> None:
    """The second request, inside the first one's body for whoever goes by the length, is not
    served."""
    for method in ("GET", "POST"):
        text = (
            f"{method} /api/ask HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n"
            "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            "GET /none HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        )
        with held(live.port, text.encode()) as link:
            found = b""
            while piece := link.recv(65_536):
                found += piece
        assert found.startswith(b"HTTP/1.1 400")
        assert found.count(b"HTTP/1.1") == 1


def test_a_body_that_breaks_its_coding_is_answered_once(
    live: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The request's own answer came after uvicorn's, which was an error in the log."""
    begun = "POST /api/ask HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
    for refused in ("", "Content-Length: 5\r\n"):
        with held(live.port, f"{begun}{refused}\r\nzz\r\nx\r\n".encode()) as link:
            found = b""
            while piece := link.recv(65_536):
                found += piece
        assert found.startswith(b"HTTP/1.1 400")
        assert found.count(b"HTTP/1.1") == 1
    assert [one for one in caplog.records if one.levelname == "ERROR"] == []


def test_connections_wait_from_the_moment_that_the_address_is_told() -> None:
    """It was printed before anything listened."""
    with listen("127.0.0.1", 0) as listener:
        socket.create_connection(listener.getsockname(), timeout=5).close()


def test_clients_keep_their_own() -> None:
    kept: ClientItems[int] = ClientItems(3, "run", memory=100, size=lambda item: item)
    first = [kept.add(1, "first") for _ in range(3)]
    for number in range(20):
        for _ in range(5):
            kept.add(1, f"other {number}")
    assert [kept[name] for name in first] == [1, 1, 1]
    fourth = kept.add(1, "first")
    with pytest.raises(GoneError):
        kept[first[0]]
    assert kept[fourth] == 1


def test_memory_is_bounded_and_the_largest_client_pays() -> None:
    kept: ClientItems[int] = ClientItems(10, "run", memory=100, size=lambda item: item)
    small = kept.add(10, "small")
    large = [kept.add(30, "large") for _ in range(3)]
    newest = kept.add(10, "newest")
    with pytest.raises(GoneError):
        kept[large[0]]
    assert [kept[name] for name in (small, *large[1:], newest)] == [10, 30, 30, 10]
    huge = kept.add(500, "huge")
    assert (len(kept), kept[huge]) == (1, 500)


def test_a_client_that_comes_back_is_not_forgotten() -> None:
    clients = Clients(most=2)
    first, second = clients.new(), clients.new()
    assert clients.of(first, "address") == first
    clients.new()
    assert clients.of(first, "address") == first
    assert clients.of(second, "address") == "address"


def test_bodies_in_memory_are_counted_by_client() -> None:
    receiving = Receiving(in_all=100, per_client=60, uploads=1)
    assert receiving.hold("a", 60)
    assert not receiving.hold("a", 1)
    assert not receiving.hold("b", 41)
    assert receiving.hold("b", 40)
    receiving.release("a", 60)
    assert receiving.hold("b", 20)
    assert receiving.begin("a")
    assert not receiving.begin("a")
    assert receiving.begin("b")
    receiving.end("a")
    assert receiving.begin("a")
