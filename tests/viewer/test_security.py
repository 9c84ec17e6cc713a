"""Attempts to break the server."""

from __future__ import annotations

import io
import json
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import retinoscope as rs
from retinoscope.errors import InputError

pytest.importorskip("fastapi", reason="needs the extra 'serve'")
testing = pytest.importorskip("fastapi.testclient", reason="needs httpx")

from retinoscope.viewer import serve  # noqa: E402
from retinoscope.viewer._guard import Limits  # noqa: E402
from retinoscope.viewer._serve import is_loopback  # noqa: E402
from retinoscope.viewer._server import make_app  # noqa: E402

TOKEN = "correct-horse"
LIMITS = Limits(upload=300_000, body=20_000, pixels=1_000_000, reading=0.5, writing=1.0, uploads=2)
PNG = {"content-type": "image/png"}


@pytest.fixture(scope="module")
def open_client(pocket: rs.VLM) -> Iterator[Any]:
    app = make_app(pocket, names=("testserver",), limits=LIMITS)
    with testing.TestClient(app, raise_server_exceptions=False) as opened:
        yield opened


@pytest.fixture
def closed_client(pocket: rs.VLM) -> Iterator[Any]:
    """A server that wants a token and answers to addresses."""
    app = make_app(pocket, names=("lab",), any_address=True, token=TOKEN, limits=LIMITS)
    with testing.TestClient(
        app, base_url="http://10.0.0.7:8000", raise_server_exceptions=False, follow_redirects=False
    ) as opened:
        yield opened


@pytest.fixture(scope="module")
def live(pocket: rs.VLM, serving: Callable[..., Any]) -> Iterator[Any]:
    """A real server: what matters here happens on the socket."""
    with serving(make_app(pocket, limits=LIMITS, timeout=20)) as served:
        yield served


@pytest.mark.parametrize(
    "path",
    [
        *("/../pyproject.toml", "/..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd"),
        *("/viewer.js/../../_server.py", "/_server.py", "/static/viewer.js", "//etc/passwd"),
        *("/api/data/../../run.json", "/api/data/..%2Frun.json", "/api/data/%2Fetc%2Fpasswd"),
        *("/api/images/../../x.png", "/api/images/%2Fetc%2Fpasswd.png", "/viewer.js%00.css"),
        *("/api/samples/..%2F..%2F/1.jpg", "/api/samples/images/..%2f1.jpg", "/docs"),
        *("/openapi.json", "/viewer.css%2f..%2f..%2f_page.py", "/C:%5Cwindows%5Cwin.ini"),
    ],
)
@pytest.mark.usefixtures("stub_page")
def test_no_path_reaches_the_file_system(live: Any, path: str) -> None:
    """Sent as they are: a client library would tidy them up."""
    answer = raw(live.port, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    status = int(answer.split(b" ", 2)[1])
    assert status in (400, 404), answer
    assert b"retinoscope.viewer" not in answer
    assert b"root:" not in answer


def test_no_request_has_a_field_for_a_path(open_client: Any, scene_png: bytes) -> None:
    (image,) = [open_client.post("/api/images", content=scene_png, headers=PNG).json()["image"]]
    for body in (
        {"image": "/etc/passwd", "question": "x"},
        {"image": "..", "question": "x"},
        {"image": image, "question": "x", "path": "/etc/passwd"},
        {"image": image, "question": "x", "model": "other"},
    ):
        assert open_client.post("/api/ask", json=body).status_code == 400


def raw(port: int, text: str | bytes, wait: float = 10.0) -> bytes:
    """What a server answers to bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait) as link:
        link.sendall(text.encode() if isinstance(text, str) else text)
        found = b""
        try:
            while piece := link.recv(65_536):
                found += piece
        except TimeoutError:
            pass
        return found


# Who may ask


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "127.0.0.1.evil.example", "localhost.evil", "", "evil.com@127.0.0.1"),
        *("127.0.0.1/x", "127.0.0.1:1:2", "127.0.0.1?x", "127.0.0.1#x", "[127.0.0.1"),
    ],
)
def test_another_host_name_is_refused(open_client: Any, live: Any, host: str) -> None:
    assert open_client.get("/api/manifest", headers={"host": host}).status_code == 400
    answer = raw(live.port, f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
    assert answer.split(b" ", 2)[1] == b"400"


def test_rebinding_is_refused_where_any_address_is_answered(closed_client: Any) -> None:
    token = {"x-retinoscope-token": TOKEN}
    for host, status in (("10.0.0.7", 200), ("[::1]:8000", 200), ("lab", 200), ("evil.com", 400)):
        answer = closed_client.get("/api/manifest", headers={"host": host, **token})
        assert answer.status_code == status, host


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://testserver.evil.example"},
        {"origin": "http://testserver:99"},
        {"origin": "file://testserver"},
        {"sec-fetch-site": "cross-site"},
    ],
)
def test_requests_of_other_sites_are_refused(open_client: Any, headers: dict) -> None:
    assert open_client.get("/api/manifest", headers=headers).status_code == 400
    sent = open_client.post("/api/images", content=b"x", headers=PNG | headers)
    assert (sent.status_code, "other sites" in sent.text) == (400, True)
    same = {"origin": "http://testserver", "sec-fetch-site": "same-origin"}
    assert open_client.get("/api/manifest", headers=same).status_code == 200


def test_a_form_of_another_site_cannot_ask(open_client: Any) -> None:
    """Content types that a page may send without the server's consent."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        for path in ("/api/ask", "/api/images"):
            body = json.dumps({"image": "a", "question": "b"})
            sent = open_client.post(path, content=body, headers={"content-type": kind})
            assert sent.status_code == 400


@pytest.mark.usefixtures("stub_page")
def test_without_the_token_nothing_is_told(closed_client: Any, scene_png: bytes) -> None:
    for path in ("/", "/viewer.js", "/api/manifest", "/api/data/sample-0", "/api/images/x.png"):
        for headers in (
            {},
            {"x-retinoscope-token": "wrong"},
            {"x-retinoscope-token": ""},
            {"x-retinoscope-token": TOKEN + "\xff"},
            {"cookie": f"retinoscope-token={TOKEN[:-1]}"},
            {"cookie": "retinoscope-token"},
        ):
            raw_headers = [(k.encode(), v.encode("latin-1")) for k, v in headers.items()]
            answer = closed_client.get(path, headers=raw_headers)
            assert answer.status_code == 401
            assert list(answer.json()) == ["error"]
    sent = closed_client.post("/api/images", content=scene_png, headers=PNG)
    assert sent.status_code == 401
    assert closed_client.delete("/api/jobs/x").status_code == 401
    # The address with the token counts for the page only, not for what it loads.
    assert closed_client.get(f"/api/manifest?token={TOKEN}").status_code == 401
    assert closed_client.get(f"/?token={TOKEN}x").status_code == 401


@pytest.mark.usefixtures("stub_page")
def test_the_printed_address_lets_in(closed_client: Any) -> None:
    answer = closed_client.get(f"/?token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert closed_client.get("/").status_code == 200
    assert closed_client.get("/api/manifest").status_code == 200
    closed_client.cookies.clear()
    headers = {"x-retinoscope-token": TOKEN}
    assert closed_client.get("/api/manifest", headers=headers).status_code == 200


def test_only_loopback_needs_no_token() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.1.2.3"):
        assert is_loopback(host)
    for host in ("0.0.0.0", "::", "10.0.0.7", "example.org", "localhost.evil", ""):
        assert not is_loopback(host)


@pytest.mark.usefixtures("stub_page")
@pytest.mark.parametrize(("host", "secret"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_serve_says_the_token_that_it_wants(
    pocket: rs.VLM, monkeypatch: pytest.MonkeyPatch, host: str, secret: bool
) -> None:
    uvicorn = pytest.importorskip("uvicorn")
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: sockets[0].close())
    said: list[str] = []
    serve(pocket, host=host, port=0, say=said.append)
    (line,) = said
    assert ("?token=" in line) == secret
    if secret:
        assert len(line.partition("?token=")[2]) >= 32
    for bad in (-1, 70_000):
        with pytest.raises(InputError, match="port"):
            serve(pocket, port=bad, say=said.append)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match="cannot listen"):
            serve(pocket, port=taken.getsockname()[1], say=said.append)


@pytest.mark.usefixtures("stub_page")
def test_every_answer_has_the_headers(open_client: Any) -> None:
    answers = [open_client.get(path) for path in ("/", "/viewer.js", "/api/manifest", "/none")]
    answers.append(open_client.get("/", headers={"host": "evil"}))
    answers.append(open_client.post("/api/ask", content=b"{"))
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
    html = open_client.get("/").text
    assert html.count("<script") == html.count('<script src="viewer.js"') == 1
    assert "style=" not in html


# Images


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims many pixels, all of them black."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(min(width // 8 + 1, 10_000) * min(height, 1_000)))
    body = chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(("width", "height"), [(1_001, 1_000), (30_000, 30_000), (2**31 - 1, 9)])
def test_a_bomb_is_refused_before_it_is_decoded(open_client: Any, width: int, height: int) -> None:
    content = bomb(width, height)
    assert len(content) < LIMITS.upload
    start = time.perf_counter()
    answer = open_client.post("/api/images", content=content, headers=PNG)
    assert answer.status_code == 400, answer.text
    assert "pixels" in answer.json()["error"]
    assert time.perf_counter() - start < 2


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/tmp/x) (w) file\nshowpage\n"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GIF89a",
        b"\x89PNG\r\n\x1a\n" + b"\0" * 50,
        EPS,
        b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        b"%PDF-1.4",
        bytes(range(256)) * 9,
    ],
)
def test_what_is_no_image_is_refused(open_client: Any, content: bytes) -> None:
    answer = open_client.post("/api/images", content=content, headers=PNG)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


def test_a_truncated_image_is_refused(open_client: Any, scene_png: bytes) -> None:
    half = scene_png[: len(scene_png) // 2]
    answer = open_client.post("/api/images", content=half, headers=PNG)
    assert (answer.status_code, "damaged" in answer.text) == (400, True)


def test_a_body_that_is_too_large_is_refused(open_client: Any, live: Any) -> None:
    answer = open_client.post("/api/images", content=b"x" * 300_001, headers=PNG)
    assert (answer.status_code, "300,000" in answer.text) == (413, True)
    answer = open_client.post("/api/ask", json={"image": "a", "question": "x" * 20_001})
    assert answer.status_code == 413
    # One that does not say how large it is.
    head = b"POST /api/ask HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    body = b"".join(b"2710\r\n" + b"x" * 10_000 + b"\r\n" for _ in range(9)) + b"0\r\n\r\n"
    found = raw(live.port, head + b"Transfer-Encoding: chunked\r\n\r\n" + body)
    assert found.split(b" ", 2)[1] == b"413"
    # One that lies.
    found = raw(live.port, head + b"Content-Length: 99999999999999999999\r\n\r\n{}")
    assert found.split(b" ", 2)[1] in (b"400", b"413")


# Bodies


@pytest.mark.parametrize(
    "body",
    [
        *("", "{", "null", "[]", "[" * 10_000, '"text"', "NaN", '{"run": NaN, "edits": []}'),
        *('{"run": "\\ud800", "edits": []}', "\x00", "{'run': 1}", '{"run": ' + "9" * 5_000 + "}"),
    ],
)
def test_bad_json_is_a_line(open_client: Any, body: str) -> None:
    answer = open_client.post(
        "/api/effect", content=body.encode(), headers={"content-type": "application/json"}
    )
    assert (answer.status_code, list(answer.json())) == (400, ["error"])
    assert len(answer.json()["error"]) < 300


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity", "-1", "1.5", '"1"', "true"])
@pytest.mark.parametrize("field", ["tokens", "layers", "heads", "target"])
def test_token_ids_and_layers_are_whole_numbers_from_0(
    open_client: Any, token: str, field: str
) -> None:
    edit = {"kind": "knockout", "tokens": [1], "layers": [0, 1], "heads": [0], "target": [9]}
    parts = {key: json.dumps(value) for key, value in edit.items()}
    parts[field] = f"[{token}, {token}]" if field == "layers" else f"[{token}]"
    inner = ", ".join(f'"{key}": {value}' for key, value in parts.items())
    body = f'{{"run": "x", "edits": [{{{inner}}}]}}'
    answer = open_client.post(
        "/api/effect", content=body, headers={"content-type": "application/json"}
    )
    assert (answer.status_code, list(answer.json())) == (400, ["error"]), answer.text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("generate", {"run": "x", "max_new_tokens": 10**9}),
        ("lens", {"run": "x", "top_k": 10**6}),
        ("attention", {"run": "x", "query": -7}),
        ("sweep", {"run": "x", "tokens": [10**7]}),
        ("word", {"run": "x", "word": "a" * 1_000}),
        ("effect", {"run": "x", "edits": [{"kind": "ablate", "tokens": [0]}] * 17}),
        ("ask", {"image": "x", "question": ""}),
    ],
)
def test_amounts_have_bounds(open_client: Any, path: str, body: dict) -> None:
    assert open_client.post(f"/api/{path}", json=body).status_code == 400


# Clients that are slow, broken, or many


def test_a_body_that_trickles_is_cut_off_and_others_are_served(live: Any) -> None:
    head = (
        "POST /api/ask HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        "Content-Length: 1000\r\n\r\n{"
    )
    with socket.create_connection(("127.0.0.1", live.port), timeout=10) as slow:
        slow.sendall(head.encode())
        start = time.perf_counter()
        quick = raw(live.port, "GET /none HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert quick.split(b" ", 2)[1] == b"404"
        found = b""
        while b"did not arrive within 0.5 seconds" not in found:
            # Head and body may come one by one.
            more = slow.recv(65_536)
            assert more, found
            found += more
        assert time.perf_counter() - start < 5


def test_clients_that_break_off_do_no_harm(live: Any) -> None:
    for text in (
        b"",
        b"GET",
        b"POST /api/images HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\n"
        b"Content-Length: 9000\r\n\r\n\x89PNG",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil\r\n\r\n",
        b"A" * 100_000,
    ):
        with socket.create_connection(("127.0.0.1", live.port), timeout=5) as link:
            link.sendall(text)
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    found = raw(live.port, "GET /none HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    assert found.split(b" ", 2)[1] == b"404"


def test_parallel_clients_all_get_their_own_answer(
    open_client: Any, pocket: rs.VLM, scenes: rs.data.Scenes
) -> None:
    def whole(number: int) -> tuple[int, int]:
        buffer = io.BytesIO()
        scenes[number % 4].image.save(buffer, "PNG")
        while True:
            sent = open_client.post("/api/images", content=buffer.getvalue(), headers=PNG)
            if sent.status_code != 429:
                break
            time.sleep(0.05)
        body = {"image": sent.json()["image"], "question": "How many things are there?"}
        while True:
            answer = open_client.post("/api/ask", json=body)
            if answer.status_code != 429:
                return number % 4, answer.json()["answer"]["chosen"]["id"]
            time.sleep(0.05)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(whole, range(12)))
    for number, chosen in found:
        run = pocket.run(pocket.prompt(scenes[number].image, "How many things are there?"))
        assert chosen == int(run.logits.argmax())


def test_a_busy_model_says_so(pocket: rs.VLM, scene_png: bytes) -> None:
    app = make_app(pocket, names=("testserver",), timeout=0.3)
    gate = threading.Event()
    with testing.TestClient(app) as client:
        name = client.post("/api/images", content=scene_png, headers=PNG).json()["image"]
        app.shared.worker.submit("other", lambda: gate.wait(10))
        answer = client.post("/api/ask", json={"image": name, "question": "x"})
        gate.set()
    assert (answer.status_code, "within 0.3 seconds" in answer.text) == (504, True)


def test_an_unexpected_error_tells_nothing(
    pocket: rs.VLM, scene_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(pocket, names=("testserver",))

    def fail(*_: object) -> None:
        raise OSError("/secret/path")

    monkeypatch.setattr(app.shared.session, "ask", fail)
    with testing.TestClient(app, raise_server_exceptions=False) as client:
        name = client.post("/api/images", content=scene_png, headers=PNG).json()["image"]
        answer = client.post("/api/ask", json={"image": name, "question": "x"})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "content-security-policy" in answer.headers


def test_a_sweep_ends_when_it_is_cancelled_and_when_its_client_leaves(
    pocket: rs.VLM, scene_png: bytes, serving: Callable[..., Any]
) -> None:
    import httpx

    app = make_app(pocket)
    shared = app.shared
    gate = threading.Event()
    with serving(app) as served, httpx.Client(base_url=served.url, timeout=20) as client:
        name = client.post("/api/images", content=scene_png, headers=PNG).json()["image"]
        asked = client.post("/api/ask", json={"image": name, "question": "What is it?"}).json()
        body = {"run": asked["run"], "tokens": [1, 2], "width": 1}
        with client.stream("POST", "/api/sweep", json=body) as stream:
            lines = stream.iter_lines()
            job = json.loads(next(lines))["job"]
            shared.worker.submit("other", lambda: gate.wait(10))
            assert client.delete(f"/api/jobs/{job}").status_code == 200
            gate.set()
            rest = [json.loads(line) for line in lines]
        assert rest[-1] == {"cancelled": True} or "result" in rest[-1]
        gate.clear()
        shared.worker.submit("other", lambda: gate.wait(10))
        with client.stream("POST", "/api/sweep", json=body | {"width": 2}):
            pass
        gate.set()
        end = time.monotonic() + 10
        while shared.jobs and time.monotonic() < end:
            time.sleep(0.05)
        assert shared.jobs == {}


def test_uploads_are_decoded_within_bounds_and_shown_smaller(pocket: rs.VLM) -> None:
    app = make_app(pocket, names=("testserver",), limits=Limits())
    buffer = io.BytesIO()
    Image.new("RGB", (3_000, 1_500), (9, 90, 200)).save(buffer, "PNG")
    with testing.TestClient(app) as client:
        sent = client.post("/api/images", content=buffer.getvalue(), headers=PNG)
        shown = client.get(f"/api/images/{sent.json()['image']}.png")
    with Image.open(io.BytesIO(shown.content)) as small:
        assert small.size == (1280, 640)


def test_only_so_many_images_are_kept(open_client: Any) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    names = [
        open_client.post("/api/images", content=buffer.getvalue(), headers=PNG).json()["image"]
        for _ in range(13)
    ]
    assert open_client.get(f"/api/images/{names[0]}.png").status_code == 404
    assert open_client.get(f"/api/images/{names[-1]}.png").status_code == 200
    assert len(set(names)) == 13


def test_nothing_is_written_beside_the_runs(runs: Path) -> None:
    """The server reads run directories; what a session makes stays in memory."""
    assert not list(runs.rglob("view"))
