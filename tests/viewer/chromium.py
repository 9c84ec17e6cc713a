"""A headless Chromium over its DevTools protocol, as much of it as the tests need."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-sync", "--disable-component-update", "--no-first-run", "--mute-audio"),
    *("--remote-debugging-port=0", "--window-size=1280,900", "--disable-dev-shm-usage"),
)


class Page:
    """One tab. `problems` are its console errors, exceptions and failed requests."""

    def __init__(self, link: Any) -> None:
        self._link, self._number = link, 0
        self.problems: list[str] = []
        self.requested: list[str] = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: object) -> dict:
        self._number += 1
        self._link.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            message = json.loads(self._link.recv(timeout=60))
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def _note(self, message: dict) -> None:
        method, params = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(params["exceptionDetails"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.problems.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requested.append(params["request"]["url"])

    def offline(self) -> None:
        self.send(
            "Network.emulateNetworkConditions",
            offline=True,
            latency=0,
            downloadThroughput=0,
            uploadThroughput=0,
        )

    def open(self, url: str) -> None:
        self.send("Page.navigate", url=url)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if self.run("document.readyState") == "complete" and self.run("location.href") != (
                "about:blank"
            ):
                return
            time.sleep(0.05)
        raise AssertionError(f"{url} did not load")

    def run(self, script: str) -> Any:
        """The value of an expression, awaited if it is a promise."""
        found = self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def screenshot(self, file: Path) -> None:
        shot = self.send("Page.captureScreenshot", format="png")
        file.write_bytes(base64.b64decode(shot["data"]))


class Visitor:
    """Somebody at a page, who waits for what is to be seen there."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def wait(self, script: str, seconds: float = 30) -> Any:
        """The first value of `script` that is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := self.page.run(script):
                return found
            time.sleep(0.05)
        raise AssertionError(f"waited in vain for {script}; the page says {self.text()[:2000]}")

    def act(self, found: str, action: str) -> None:
        """Does `action` with `one`, the value of the script `found`, as soon as there is one.

        In a single script: between two, the page may draw itself anew.
        """
        self.wait(f"(() => {{ const one = {found}; if (one) {{ {action}; }} return !!one; }})()")

    def text(self) -> str:
        return self.page.run("document.body.innerText")

    def sees(self, text: str) -> None:
        self.wait(f"document.body.innerText.includes({json.dumps(text)})")


@contextmanager
def browser() -> Iterator[Page]:
    """A tab of a fresh browser; skips the test where there is none."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs Chromium")
    client = pytest.importorskip("websockets.sync.client", reason="needs the package websockets")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={home}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            port = _port(Path(home) / "DevToolsActivePort", process)
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
                tabs = [tab for tab in json.load(answer) if tab["type"] == "page"]
            address = tabs[0]["webSocketDebuggerUrl"]
            with client.connect(address, max_size=None, proxy=None) as link:
                yield Page(link)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


def _port(file: Path, process: subprocess.Popen[bytes]) -> int:
    end = time.monotonic() + 40
    while time.monotonic() < end:
        if process.poll() is not None:
            pytest.skip(f"Chromium ended at once with code {process.returncode}")
        if file.exists() and (lines := file.read_text().split("\n"))[0].isdigit():
            return int(lines[0])
        time.sleep(0.05)
    raise AssertionError("Chromium did not open its port")
