"""The judge's key leaves for one server only, and nothing that a run writes ever holds it."""

from __future__ import annotations

import base64
import json
import socket
import threading
import traceback
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from retinoscope.answers import chat as chat
from retinoscope.answers.judge import ChatJudge
from retinoscope.cli import main
from retinoscope.errors import InputError, StudyError
from retinoscope.reporting import write_report
from tests.studies.judged import judged_study

KEY = 'sk-live/9"f<3\\b=7'
"""Its JSON, its HTML and its URL differ from itself."""

Say = Callable[[bytes], bytes]
"""What is sent back for a request."""


class Raw:
    """A server that sends whatever bytes it is told to, and then hangs up."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self.requests: list[bytes] = []
        self.say: Say = lambda request: b""
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            with peer:
                peer.settimeout(5)
                request = b""
                try:
                    while b"\r\n\r\n" not in request:
                        request += peer.recv(65536)
                    head, _, body = request.partition(b"\r\n\r\n")
                    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                    while len(body) < length:
                        body += peer.recv(65536)
                    self.requests.append(head + b"\r\n\r\n" + body)
                    peer.sendall(self.say(head))
                except OSError:
                    pass

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def servers(monkeypatch) -> Iterator[tuple[Raw, Raw]]:
    monkeypatch.setenv("JUDGE_KEY", f"  {KEY}\n")
    made = Raw(), Raw()
    yield made
    for one in made:
        one.close()


def answer(body: bytes, status: bytes = b"200 OK", headers: bytes = b"") -> bytes:
    length = b"Content-Length: " + str(len(body)).encode()
    return b"HTTP/1.1 " + status + b"\r\n" + length + b"\r\n" + headers + b"\r\n" + body


def completion(text: str, tokens: object = 1) -> bytes:
    message = {"choices": [{"message": {"content": text}}], "usage": {"total_tokens": tokens}}
    return answer(json.dumps(message).encode())


def judge_of(server: Raw, **options) -> ChatJudge:
    return ChatJudge(server.url, "strict", key_variable="JUDGE_KEY", timeout=5, **options)


def holds_key(folder: Path) -> list[str]:
    """Everything that was written, tables decoded as well, and who holds the key in any form."""
    forms = [KEY, json.dumps(KEY)[1:-1], KEY.replace("<", "&lt;").replace('"', "&#34;")]
    forms += [KEY.replace('"', '""'), base64.b64encode(KEY.encode()).decode().rstrip("=")]
    files = [file for file in folder.rglob("*") if file.is_file()]
    names = {file.name for file in files}
    assert {"run.json", "results.parquet", "report.html"} <= names, names
    found = []
    for file in files:
        text = file.read_bytes().decode("utf-8", "replace")
        if file.suffix == ".parquet":
            text += "".join(str(v) for row in pq.read_table(file).to_pylist() for v in row.values())
        found += [file.name for form in forms if form in text]
    return found


def test_the_key_is_stripped_and_sent_to_one_server(servers) -> None:
    server, _ = servers
    server.say = lambda _: completion('{"reference": [], "candidate": [], "shared": []}')
    judge_of(server).compare("a", "b")
    head = server.requests[0].split(b"\r\n\r\n")[0].decode().split("\r\n")
    assert f"Authorization: Bearer {KEY}" in head


@pytest.mark.parametrize("status", [b"301 Moved", b"302 Found", b"307 Temporary", b"308 Moved"])
def test_a_redirect_is_not_followed(servers, status) -> None:
    server, other = servers
    server.say = lambda _: answer(b"", status, f"Location: {other.url}/chat\r\n".encode())
    with pytest.raises(StudyError, match=r"answered 30\d.*redirects"):
        judge_of(server).compare("a", "b")
    assert len(server.requests) == 1
    assert other.requests == []


ECHOES: dict[str, Say] = {
    "in the reason": lambda _: answer(b"", b"401 no key " + KEY.encode()),
    "in text that is no JSON": lambda _: answer(b"wrong key: " + KEY.encode()),
    # The text is cut after 200 characters: half a key must not stay.
    "where the text is cut": lambda _: answer(b"x" * 192 + KEY.encode()),
    "in JSON of another form": lambda _: answer(json.dumps({"error": KEY}).encode()),
    "in an answer that is no JSON": lambda _: completion(f"your key is {KEY}"),
    "in a good answer": lambda _: completion(
        json.dumps({"reference": [KEY], "candidate": [], "shared": []})
    ),
    "in a broken header": lambda _: b"HTTP/1.1 200 OK\r\n" + KEY.encode() + b"\r\n\r\n",
    "in place of HTTP": lambda _: KEY.encode() + b"\r\n\r\n",
    "in the encoding": lambda _: answer(b"{}", headers=b"Content-Type: a; charset=" + KEY.encode()),
}


def test_nothing_that_a_run_writes_holds_the_key(servers, tmp_path, capsys) -> None:
    server, _ = servers
    turns = [*ECHOES.values()]

    def say(head: bytes) -> bytes:
        return turns[len(server.requests) % len(turns)](head)

    server.say = say
    for number in range(3):
        out = tmp_path / str(number)
        results = judged_study(judge_of(server)).run(out)
        # The description of each image itself and under two cuts, whatever the judge said.
        assert sum(row["error"] is None for row in results.table.to_pylist()) == 2 * 3
        assert results.errors()
        write_report(out)
        assert holds_key(out) == []
        failures = (out / "tables" / "failures.csv").read_text("utf-8")
        assert "judge" in failures
    assert len(server.requests) >= len(ECHOES)
    assert all(b"Bearer " + KEY.encode() in request for request in server.requests)
    told = capsys.readouterr()
    assert KEY not in told.out + told.err


@pytest.mark.parametrize("where", ECHOES)
def test_no_error_and_no_traceback_holds_the_key(servers, where) -> None:
    server, _ = servers
    server.say = ECHOES[where]
    try:
        said = repr(judge_of(server).compare("a", "b"))
    except StudyError as error:
        said = "".join(traceback.format_exception(error)) + repr(error)
    for form in (KEY, json.dumps(KEY)[1:-1], KEY[:8]):
        assert form not in said


GARBAGE: dict[str, Say] = {
    "hangs up at once": lambda _: b"",
    "half an answer": lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
    "half a chunk": lambda _: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{",
    "no status": lambda _: b"\x00\x01\x02 what\r\n\r\n",
    "two lengths": lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    "broken gzip": lambda _: answer(b"no gzip", headers=b"Content-Encoding: gzip\r\n"),
    "bad encoding": lambda _: answer(b'{"choices": "\xff\xfe'),
    "deep JSON": lambda _: answer(b"[" * 200_000),
    "deep answer": lambda _: completion('{"reference": ' + "[" * 200_000 + "}"),
    "long number": lambda _: answer(b"1" * 10_000),
    "too long": lambda _: answer(b"x" * (chat.LARGEST + 1)),
    "a bomb": lambda _: answer(
        zlib.compress(b" " * 200_000_000, 9), headers=b"Content-Encoding: deflate\r\n"
    ),
    "nothing": lambda _: answer(b""),
    "null": lambda _: answer(b"null"),
    "no address to go to": lambda _: answer(b"", b"302 Found", b"Location: http://[::\r\n"),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_whatever_a_server_sends_becomes_one_line(servers, kind) -> None:
    server, _ = servers
    server.say = GARBAGE[kind]
    with pytest.raises(StudyError, match="judge") as caught:
        judge_of(server).compare("a", "b")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_garbage_loses_no_computed_row(servers, tmp_path) -> None:
    server, _ = servers
    turns = [GARBAGE[kind] for kind in ("hangs up at once", "half an answer", "deep JSON")]
    server.say = lambda head: turns[len(server.requests) % 3](head)
    results = judged_study(judge_of(server)).run(tmp_path)
    rows = results.table.to_pylist()
    assert sum(row["error"] is None for row in rows) == 2 * 3
    assert len(results.errors()) == 2 * 3
    assert results.failures() == []


def test_what_cannot_be_stored_is_not_kept(servers, tmp_path) -> None:
    server, _ = servers
    text = '{"reference": [], "candidate": [], "shared": []}' + chr(0xD800)
    server.say = lambda _: completion(text, 10**30)
    rows = judged_study(judge_of(server)).run(tmp_path).table.to_pylist()
    assert {row["judge_tokens"] for row in rows} == {None}
    assert {row["judge_answer"][-1] for row in rows} == {"?"}


def test_a_judge_that_breaks_is_the_rows_error(tmp_path) -> None:
    class Broken(ChatJudge):
        def compare(self, reference, candidate):
            raise RuntimeError("this judge has a fault")

    results = judged_study(Broken("http://127.0.0.1:9", "none")).run(tmp_path)
    assert sum(row["error"] is None for row in results.table.to_pylist()) == 2 * 3
    assert {error for _, error in results.errors()} == {"RuntimeError: this judge has a fault"}


@pytest.mark.parametrize("key", ["", " \n", "sk-1\nsk-2", "sk-\x07bell", "clé-secrète", "abc"])
def test_a_key_that_cannot_be_used_is_refused_before_anything_runs(
    key, monkeypatch, tmp_path, capsys
) -> None:
    monkeypatch.setenv("JUDGE_KEY", key)
    judge = ChatJudge("http://127.0.0.1:9", "none", key_variable="JUDGE_KEY")
    with pytest.raises(InputError, match="JUDGE_KEY") as caught:
        judged_study(judge).run(tmp_path / "run")
    assert not key.strip() or key not in str(caught.value)
    assert not (tmp_path / "run").exists()
    options = ["--judge-url", "http://127.0.0.1:9", "--judge-model", "none"]
    options += ["--judge-key-variable", "JUDGE_KEY", "--out", str(tmp_path / "run")]
    assert main(["flow", "no-such-model", "scenes:1", *options]) == 2
    assert "JUDGE_KEY" in capsys.readouterr().err


@pytest.mark.parametrize(
    "url",
    [
        f"http://localhost/v1?key={KEY}",
        f"http://localhost/v1#{KEY}",
        f"http://me:{KEY}@localhost/v1",
        f"http://{KEY}@localhost/v1",
        f"me:{KEY}@localhost/v1",
        f"http://localhost/v1\n{KEY}",
        f"http://localhost:{KEY}/v1",
        f"http://[{KEY}/v1",
    ],
)
def test_an_address_that_holds_a_secret_is_refused_and_not_repeated(url) -> None:
    with pytest.raises(InputError, match="address") as caught:
        ChatJudge(url, "model")
    assert KEY[:6] not in "".join(traceback.format_exception(caught.value))


def test_the_key_is_refused_where_it_would_be_recorded(monkeypatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-12345678")
    for url, model in (("http://127.0.0.1/sk-12345678/v1", "m"), ("http://h", "m-sk-12345678")):
        with pytest.raises(InputError, match="recorded") as caught:
            ChatJudge(url, model, "JUDGE_KEY").check()
        assert "12345678" not in str(caught.value)
    with pytest.raises(InputError, match="environment variable") as caught:
        ChatJudge("http://127.0.0.1", "m", "sk-12345678")
    assert "12345678" not in str(caught.value)


def test_a_slow_answer_ends_in_time(servers) -> None:
    server, _ = servers
    stop = threading.Event()

    def drip(head: bytes) -> bytes:
        stop.wait(5)
        return b""

    server.say = drip
    with pytest.raises(StudyError, match="cannot be reached"):
        ChatJudge(server.url, "slow", timeout=0.3).compare("a", "b")
    stop.set()
