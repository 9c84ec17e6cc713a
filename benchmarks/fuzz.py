"""Requests that no page would send, against live servers, and what came back.

python -m benchmarks.fuzz [--count 10000] [--seed 0]

Three servers listen on the loopback interface: `retinoscope serve pocket`, one like it that asks
for a token, and `retinoscope collect`. Each request is drawn from its number (`--only NUMBER` sends
one again and prints it). Writes `benchmarks/results/fuzz.json`; returns 1 if a promise was broken:
an error of the server, a traceback, a path of this machine or the token in an answer, an error in
the log, no answer, unbounded memory, or other answers at the end than before.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

import retinoscope as rs

from ._bench import RESULTS, write_json
from ._fuzz_cases import Case, Known, drawn, plain, png, posted

TOKEN = "fuzzed-" + "token" * 4
CALL = "from retinoscope.cli import main; main({})"
START = {
    "serve": CALL.format("['serve', 'pocket', '--port', '0']"),
    "token": "from benchmarks.fuzz import serve_with_token; serve_with_token()",
    "collect": CALL.format("['collect', 'scenes:5', '--out', 'sessions', '--port', '0']"),
}
TURNS = ("token", "serve", "serve", "collect")
"""Which server a request goes to, by its number."""
CLIENTS = 8
ANSWERED = 60.0
"""Seconds within which a whole request is answered; one is not broken off for less."""
BROKEN_OFF = 0.15
MOST_GROWN = 1_500
"""MiB that a server may take beyond what it took before: kept images and runs have bounds."""
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})[^\r]*\r\n(.*?)\r\n\r\n", re.DOTALL)
_BAD_LINE = re.compile(r"Traceback|  File |ERROR|a request failed|Exception")
"""In a log; what else stands there are warnings, and lines of the libraries that decode images."""
_CHANGING = re.compile(rb'"(?:ms|run|id|image|src|job)": ?(?:"[^"]*"|[0-9.e-]+)')


def serve_with_token() -> None:
    """Serves a page that asks for `TOKEN`, until it is ended."""
    from retinoscope.viewer._library import Library
    from retinoscope.viewer._reopen import Reopened
    from retinoscope.viewer._serve import listen, run_app
    from retinoscope.viewer._server import make_app

    vlm, listener = rs.load("pocket"), listen("127.0.0.1", 0)
    library = Library((), Reopened(vlm, samples=rs.data.scenes(9)), "live", 10**6)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/", flush=True)
    run_app(make_app(vlm, library, token=TOKEN, any_address=True), listener)


@dataclass
class Target:
    """A running server.

    Attributes:
        before: its plain answers before the fuzz.
    """

    port: int
    process: psutil.Process
    log: Path
    known: Known
    before: list[bytes] = field(default_factory=list)
    started_with: int = 0
    peak: int = 0

    def memory(self) -> int:
        """MiB that it takes now; the most so far is kept."""
        taken = self.process.memory_info().rss // 2**20
        self.peak = max(self.peak, taken)
        return taken


@contextmanager
def target(name: str, folder: Path) -> Iterator[Target]:
    """A server in a process of its own, which is told nothing but what a user tells it."""
    log = folder / f"{name}.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", START[name]],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            bufsize=1,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        try:
            assert process.stdout is not None
            found = next((re.search(r"http://[^:]+:(\d+)/", line) for line in process.stdout), None)
            if found is None:
                raise RuntimeError(f"the server did not start: {log.read_text()[-500:]}")
            known = Known(token=TOKEN if name == "token" else None)
            one = Target(int(found[1]), psutil.Process(process.pid), log, known)
            one.known = (joined if name == "collect" else begun)(one)
            one.before = plain_answers(one)
            one.started_with = one.memory()
            yield one
        finally:
            process.terminate()
            process.wait(20)
            if process.stdout is not None:
                process.stdout.close()


def begun(server: Target) -> Known:
    """An image and a run for valid requests to name."""
    scene = png(rs.data.scenes(1)[0].image)
    token = server.known.token
    sent = exchanged(server.port, plain("/api/images", server.known, "POST", scene, "image/png"))
    image = json.loads(body_of(sent))["image"]
    known = Known(image, "", token)
    body = {"image": image, "question": "Describe the image."}
    sent = exchanged(server.port, posted("ask", body, known))
    return Known(image, json.loads(body_of(sent))["run"], token)


def joined(server: Target) -> Known:
    """A session of `collect`."""
    told = exchanged(server.port, plain("/api/welcome", server.known))
    consent = json.loads(body_of(told))["consentId"]
    sent = posted("session", {"accepted": True, "consentId": consent}, server.known)
    cookie = re.search(rb"set-cookie: ([^;]+)", exchanged(server.port, sent))
    assert cookie is not None, "the session did not begin"
    return Known(cookie=cookie[1].decode(), consent=consent)


def plain_answers(server: Target) -> list[bytes]:
    """What a page would ask for, without what changes from one time to the next."""
    known, bodies = server.known, {}
    if known.consent:
        paths = ("/", "/api/welcome", "/api/images/1/sharp.jpg", "/api/images/1/blurred.jpg")
    else:
        api = ("manifest", "data/lens-1", "samples/images/0.jpg")
        paths = ("/", "/viewer.js", *(f"/api/{one}" for one in api))
        edits = [{"kind": "ablate", "tokens": [20, 21, 22], "fill": "mean"}]
        bodies = {
            "ask": {"image": "sample-1", "question": "Describe the image."},
            "attention": {"run": known.run, "query": -1},
            "effect": {"run": known.run, "edits": edits},
            "lens": {"run": known.run, "top_k": 5},
        }
    answers = [exchanged(server.port, plain(path, known)) for path in paths]
    answers += [exchanged(server.port, posted(name, body, known)) for name, body in bodies.items()]
    if any(status(one) != 200 for one in answers):
        raise RuntimeError(f"a plain request was refused: {[one[:300] for one in answers]}")
    return [_CHANGING.sub(b"", body_of(one)) for one in answers]


def exchanged(port: int, sent: bytes, wait: float = ANSWERED, break_off: bool = False) -> bytes:
    """All that comes back until the server closes the connection.

    Args:
        break_off: stop reading where nothing comes for `wait` seconds, in place of an error.

    Raises:
        TimeoutError: nothing came for so long.
    """
    found = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=wait) as link:
        # It may be refused before all of it is sent; the answer is still there.
        with suppress(ConnectionError):
            link.sendall(sent)
        try:
            while piece := link.recv(65_536):
                found += piece
        except ConnectionError:
            pass
        except TimeoutError:
            if not break_off:
                raise
    return bytes(found)


def status(answer: bytes) -> int:
    """Of the first answer; 0 where there is none."""
    found = _STATUS.match(answer)
    return int(found[1]) if found else 0


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def secrets_of_machine() -> list[bytes]:
    """What no answer may hold: where things lie here, the token, a traceback."""
    source = Path(rs.__file__).parents[2]
    places = {source, Path(sys.prefix), Path.home(), Path(tempfile.gettempdir()), Path.cwd()}
    told = [str(place) for place in places if len(place.parts) > 1]
    return [one.encode() for one in (*told, TOKEN, "Traceback (most", 'File "', "site-packages")]


def faults(case: Case, answer: bytes, hidden: Sequence[bytes], token: bool) -> list[str]:
    """Promises that an answer breaks."""
    found = [f"told {one.decode()}" for one in hidden if one in answer]
    starts = list(_STATUS.finditer(answer))
    for one in starts:
        code = int(one[1])
        later = code == 503 and b"retry-after:" in one[2].lower()
        let_in = token and case.kind == "token" and code not in (400, 401)
        if (code >= 500 and not later) or let_in:
            found.append(f"status {code}")
    if case.whole and not starts:
        found.append("no answer")
    if answer and not starts:
        found.append("an answer that is not HTTP")
    if b'{"error": "the server met' in answer:
        found.append("an error in a stream")
    return found


@dataclass
class Seen:
    """What came back from all requests."""

    statuses: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    broken: list[dict[str, Any]] = field(default_factory=list)
    sent: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(
        self, number: int, case: Case, answer: bytes, wrong: Sequence[str], known: Known
    ) -> None:
        codes = [one[1].decode() for one in _STATUS.finditer(answer)] or ["none"]
        with self.lock:
            self.sent += 1
            self.statuses.update(codes)
            kind = f"collect {case.kind}" if known.consent else case.kind
            self.kinds.update(f"{kind} {code}" for code in codes)
            if wrong:
                self.broken.append(
                    {"number": number, "kind": case.kind, "wrong": list(wrong)}
                    | {"sent": repr(case.sent[:300]), "answer": repr(answer[:300])}
                )


def fuzzed(servers: Mapping[str, Target], numbers: Sequence[int], seed: int) -> Seen:
    """Sends the requests, some at a time."""
    seen, hidden = Seen(), secrets_of_machine()

    def send(number: int) -> None:
        server = servers[TURNS[number % len(TURNS)]]
        case = drawn(number, seed, server.known)
        _sent(server, number, case, seen, hidden)
        if number % 50 == 0:
            server.memory()

    with ThreadPoolExecutor(CLIENTS) as pool:
        for _ in pool.map(send, numbers):
            pass
    return seen


def _sent(server: Target, number: int, case: Case, seen: Seen, hidden: Sequence[bytes]) -> None:
    try:
        wait = ANSWERED if case.whole else BROKEN_OFF
        answer = exchanged(server.port, case.sent, wait, break_off=not case.whole)
    except OSError as error:
        seen.add(number, case, b"", [type(error).__name__], server.known)
        return
    wrong = faults(case, answer, hidden, server.known.token is not None)
    seen.add(number, case, answer, wrong, server.known)
    if case.kind == "image" and status(answer) == 200:
        # What was taken for an image is looked at as well.
        body = {"image": json.loads(body_of(answer))["image"], "question": "What is it?"}
        _sent(server, number, Case("odd image", posted("ask", body, server.known)), seen, hidden)


def aftermath(server: Target) -> list[str]:
    """What is wrong with a server when all is over."""
    found = []
    grown = server.memory() and server.peak - server.started_with
    if grown > MOST_GROWN:
        found.append(f"memory grew by {grown} MiB")
    log = server.log.read_text(errors="replace")
    wrong = [line for line in log.splitlines() if _BAD_LINE.search(line) or TOKEN in line]
    if wrong:
        found.append(f"the log says {wrong[:3]} ... {wrong[-1]}")
    if not server.known.consent:
        server.known = begun(server)
    if plain_answers(server) != server.before:
        found.append("other answers than before")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Prints what came back; returns 1 if a promise was broken."""
    parser = argparse.ArgumentParser("python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the number of one request")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the result")
    given = parser.parse_args(argv)
    if given.count < 1:
        parser.error(f"expected at least one request, got {given.count}")
    numbers = range(given.count) if given.only is None else [given.only]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers = {name: stack.enter_context(target(name, Path(folder))) for name in START}
        seen = fuzzed(servers, numbers, given.seed)
        wrong = [one for server in servers.values() for one in aftermath(server)]
        grown = {name: one.peak - one.started_with for name, one in servers.items()}
    told = ", ".join(f"{count} x {code}" for code, count in seen.statuses.most_common())
    print(f"{seen.sent} requests (seed {given.seed}): {told}; memory grew by {grown} MiB")
    for one in (*seen.broken[:50], *wrong):
        print(f"  {one}")
    if given.only is not None:
        print(dict(seen.kinds))
        return int(bool(seen.broken or wrong))
    print(f"{len(seen.broken)} answers and {len(wrong)} servers broke a promise")
    told = {"benchmark": "fuzz", "seed": given.seed, "requests": seen.sent}
    told |= {"statuses": dict(sorted(seen.statuses.items()))}
    told |= {"kinds": dict(sorted(seen.kinds.items())), "grown_mib": grown}
    told |= {"broken": len(seen.broken) + len(wrong)}
    write_json(given.out / "fuzz.json", told)
    return int(bool(seen.broken or wrong))


if __name__ == "__main__":
    sys.exit(main())
