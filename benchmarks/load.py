"""Many pages at once on one live server: what they are answered, and how soon.

python -m benchmarks.load [--clients 20 200] [--seconds 60] [--think 0.5]

Starts `retinoscope serve pocket` on the loopback interface and stops it again; it can be pointed at
nothing else. Each client does what a page does: it fetches the page, uploads an image, asks, and
then reads attention, effects and lenses with a pause between, and asks anew at times. It backs off
as the page does where it is told to come back later. Writes `benchmarks/results/load.json`.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import re
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import retinoscope as rs

from ._bench import RESULTS, write_json

MOST_CLIENTS, MOST_SECONDS = 500, 300
LATER = (429, 503)


@contextmanager
def server() -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """The port of a live page of the packaged model, in a process of its own."""
    start = "from retinoscope.cli import main; main()"
    command = [sys.executable, "-c", start, "serve", "pocket", "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
            if found:
                yield int(found[1]), process
                return
        raise RuntimeError("the server did not start")
    finally:
        process.terminate()
        process.wait(20)
        if process.stdout is not None:
            process.stdout.close()


@dataclass
class Seen:
    """What one client saw: statuses, milliseconds of the answers, and what a page would show."""

    statuses: Counter[str] = field(default_factory=Counter)
    ms: list[float] = field(default_factory=list)
    shown: int = 0


class Client:
    """One page."""

    def __init__(self, port: int, image: bytes, end: float, think: float, seed: int) -> None:
        self._port, self._image, self._end, self._think = port, image, end, think
        self._random = random.Random(seed)
        self._link = HTTPConnection("127.0.0.1", port, timeout=30)
        self._cookie = ""
        self.seen = Seen()

    def work(self) -> None:
        """Until the end."""
        with closing(self._link):
            time.sleep(self._random.random() * self._think)
            while time.monotonic() < self._end:
                self._visit()

    def _visit(self) -> None:
        self._send("GET", "/")
        self._send("GET", "/api/manifest")
        image = self._send("POST", "/api/images", self._image, "image/png")
        if image is None:
            return
        body = {"image": image["image"], "question": "Describe the image."}
        asked = self._post("ask", **body)
        if asked is None:
            return
        run = asked["run"]
        edits = [{"kind": "ablate", "tokens": list(range(20, 30)), "fill": "zero"}]
        for _ in range(5):
            self._post("attention", run=run, query=-1)
            self._post("effect", run=run, edits=edits)
            self._post("lens", run=run, top_k=5)
            if time.monotonic() > self._end:
                return

    def _post(self, name: str, **body: object) -> Any:
        return self._send("POST", f"/api/{name}", json.dumps(body).encode(), "application/json")

    def _send(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> Any:
        """The answer; None where a page would show an error."""
        tries = 0
        while True:
            status, content, later = self._once(method, path, body, kind)
            if status not in LATER or time.monotonic() > self._end:
                break
            pause = min(10.0, later * 1.5**tries) * (0.5 + self._random.random() / 2)
            time.sleep(pause)
            tries += 1
        time.sleep(self._think * (0.5 + self._random.random()))
        if status == 200:
            # A lens comes line by line; the last line has it.
            return json.loads(content.splitlines()[-1]) if path.startswith("/api") else {}
        self.seen.shown += status not in LATER
        return None

    def _once(
        self, method: str, path: str, body: bytes | None, kind: str
    ) -> tuple[int, bytes, float]:
        headers = {"Cookie": self._cookie} if self._cookie else {}
        if kind:
            headers["Content-Type"] = kind
        start = time.perf_counter()
        try:
            self._link.request(method, path, body, headers)
            reply = self._link.getresponse()
            content = reply.read()
        except (OSError, HTTPException) as error:
            # As a browser does with a kept connection that was closed meanwhile: once more, anew.
            self._link.close()
            self.seen.statuses[type(error).__name__] += 1
            return 503, b"", 0.1
        self.seen.ms.append((time.perf_counter() - start) * 1000)
        self.seen.statuses[str(reply.status)] += 1
        given = reply.getheader("Set-Cookie")
        if given:
            self._cookie = given.partition(";")[0]
        return reply.status, content, float(reply.getheader("Retry-After") or 0.5)


def loaded(port: int, clients: int, seconds: float, think: float, image: bytes) -> dict[str, Any]:
    """What so many clients saw in so many seconds."""
    end = time.monotonic() + seconds
    pages = [Client(port, image, end, think, seed) for seed in range(clients)]
    threads = [threading.Thread(target=page.work, daemon=True) for page in pages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + 60)
    statuses: Counter[str] = sum((page.seen.statuses for page in pages), Counter())
    ms = sorted(taken for page in pages for taken in page.seen.ms)
    return {
        "clients": clients,
        "seconds": seconds,
        "requests": statuses.total(),
        "statuses": dict(sorted(statuses.items())),
        "errors_shown": sum(page.seen.shown for page in pages),
        "median_ms": round(statistics.median(ms), 1),
        "p99_ms": round(ms[min(len(ms) - 1, int(len(ms) * 0.99))], 1),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a line for each number of clients; returns 0."""
    parser = argparse.ArgumentParser("python -m benchmarks.load", description=__doc__)
    parser.add_argument("--clients", type=int, nargs="+", default=[20, 200])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--think", type=float, default=0.5, help="seconds between requests")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the result")
    given = parser.parse_args(argv)
    if not all(1 <= one <= MOST_CLIENTS for one in given.clients):
        parser.error(f"expected 1 to {MOST_CLIENTS} clients")
    if not 0 < given.seconds <= MOST_SECONDS or given.think < 0:
        parser.error(f"expected up to {MOST_SECONDS} seconds, and no negative pause")
    buffer = io.BytesIO()
    rs.data.scenes(1)[0].image.save(buffer, "PNG")
    cases = []
    for clients in given.clients:
        with server() as (port, _):
            cases.append(loaded(port, clients, given.seconds, given.think, buffer.getvalue()))
        print(json.dumps(cases[-1]), flush=True)
    write_json(given.out / "load.json", {"benchmark": "load", "think": given.think, "cases": cases})
    return 0


if __name__ == "__main__":
    sys.exit(main())
