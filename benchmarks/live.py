"""What the microscope's page waits for: its requests one after the other on one kept connection.

python -m benchmarks.live [--repeats 40]

Two servers of one model run in this process: one listens as `retinoscope serve` does, the other on
a socket that does not name its protocol, on which Nagle's algorithm stays on. They are asked in
turns, the order reversed in every other round; medians are compared. Writes
`benchmarks/results/live.json`.
"""

from __future__ import annotations

import argparse
import io
import json
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import torch

import retinoscope as rs
from retinoscope.viewer._serve import listen, server_of
from retinoscope.viewer._server import make_app

from ._bench import RESULTS, write_json


@contextmanager
def served(app: object, listener: socket.socket) -> Iterator[int]:
    """The port of an application that a thread of this process serves."""
    server = server_of(app)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    end = time.monotonic() + 30
    while not server.started and time.monotonic() < end:
        time.sleep(0.02)
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)


class Page:
    """One browser's tab: a kept connection, an uploaded image, a run."""

    def __init__(self, port: int, image: bytes) -> None:
        self._link = HTTPConnection("127.0.0.1", port, timeout=60)
        self.get("/api/manifest")
        sent = self._ask("POST", "/api/images", image, "image/png")
        self.image = str(sent["image"])
        self.run = ""
        self.ask()
        obj = list(range(20, 30))
        self._edits = [{"kind": "ablate", "tokens": obj, "fill": "mean"}]
        self.effect()

    def _ask(self, method: str, path: str, body: bytes | None, kind: str) -> Any:
        self._link.request(method, path, body, {"Content-Type": kind} if body else {})
        reply = self._link.getresponse()
        content = reply.read()
        if reply.status != 200:
            raise RuntimeError(f"{path}: {reply.status} {content[:200]!r}")
        # A lens comes line by line, as it is read; the last line has it.
        return json.loads(content.splitlines()[-1])

    def get(self, path: str) -> Any:
        return self._ask("GET", path, None, "")

    def post(self, name: str, **body: object) -> Any:
        return self._ask("POST", f"/api/{name}", json.dumps(body).encode(), "application/json")

    def manifest(self) -> None:
        self.get("/api/manifest")

    def ask(self) -> None:
        found = self.post("ask", image=self.image, question="Describe the image.")
        self.run = str(found["run"])

    def attention(self) -> None:
        self.post("attention", run=self.run, query=-1)

    def effect(self) -> None:
        self.post("effect", run=self.run, edits=self._edits)

    def lens(self) -> None:
        self.post("lens", run=self.run, top_k=5)


STEPS: dict[str, Callable[[Page], None]] = {
    "manifest": Page.manifest,
    "ask": Page.ask,
    "attention": Page.attention,
    "effect": Page.effect,
    "lens": Page.lens,
}


def measured(pages: dict[str, Page], repeats: int) -> dict[str, dict[str, list[float]]]:
    """Milliseconds of each step, by server."""
    taken: dict[str, dict[str, list[float]]] = {
        step: {name: [] for name in pages} for step in STEPS
    }
    for number in range(repeats):
        for step, call in STEPS.items():
            for name in list(pages)[:: 1 if number % 2 == 0 else -1]:
                start = time.perf_counter()
                call(pages[name])
                taken[step][name].append((time.perf_counter() - start) * 1000)
    return taken


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the medians; returns 0."""
    parser = argparse.ArgumentParser("python -m benchmarks.live", description=__doc__)
    parser.add_argument("--repeats", type=int, default=40, help="rounds of alternating timing")
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the result")
    given = parser.parse_args(argv)
    torch.set_num_threads(given.threads)
    vlm = rs.load("pocket")
    buffer = io.BytesIO()
    rs.data.scenes(1)[0].image.save(buffer, "PNG")
    unnamed = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    unnamed.bind(("127.0.0.1", 0))
    with (
        served(make_app(vlm), unnamed) as before,
        served(make_app(vlm), listen("127.0.0.1", 0)) as after,
    ):
        pages = {"Nagle": Page(before, buffer.getvalue()), "now": Page(after, buffer.getvalue())}
        taken = measured(pages, given.repeats)
    medians = {
        step: {name: round(statistics.median(all_), 2) for name, all_ in one.items()}
        for step, one in taken.items()
    }
    print(f"{'milliseconds':<14}{'Nagle':>9}{'now':>9}")
    for step, one in medians.items():
        print(f"{step:<14}{one['Nagle']:>9.1f}{one['now']:>9.1f}")
    write_json(
        given.out / "live.json",
        {"benchmark": "live", "model": vlm.name, "repeats": given.repeats, "medians_ms": medians},
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
