"""Names that are nowhere, while there is no network: one line at once, and no waiting."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from retinoscope.cli import main
from retinoscope.hub import unreachable

NOWHERE = "http://127.0.0.1:9"
COMMANDS = (
    "doctor NO/SUCH",
    "lens NO/SUCH scenes:1 --out out",
    "ablate NO/SUCH scenes:1 --out out",
    "group NO/SUCH scenes:1 --out out",
    "probe NO/SUCH scenes:12 --out out",
    "serve NO/SUCH",
    "curate pocket datasets:no/such --out out",
)


def _at(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets the Hub's address, and asks it even where HF_HUB_OFFLINE is set."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    rest = "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", address + rest)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The Hub's address leads to a port where nobody listens; waiting is an error."""

    def no_waiting(seconds: float) -> None:
        raise AssertionError(f"waits for {seconds} s")

    monkeypatch.chdir(tmp_path)
    _at(NOWHERE, monkeypatch)
    monkeypatch.setattr("time.sleep", no_waiting)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_name_that_is_nowhere_is_one_line_at_once(
    command: str, no_network: None, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(command.split()) == 2
    told = capsys.readouterr().err
    assert told.splitlines()[-1].startswith("error: ")
    assert "network" in told
    assert "Retrying" not in told
    assert not list(tmp_path.iterdir())


class _Answers(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.end_headers()

    def log_message(self, *given: object) -> None:
        """No lines on the terminal."""


@pytest.fixture
def hub() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_hub_that_answers_is_left_to_its_library(
    hub: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _at(hub, monkeypatch)
    assert unreachable("no/such", "model") is None


def test_a_slow_hub_is_left_to_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    class ReadTimeout(Exception):
        pass

    def slow(*given: object, **more: object) -> None:
        raise ReadTimeout

    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", slow)
    assert unreachable("no/such", "model") is None


def test_what_is_kept_here_needs_no_network(no_network: None, tmp_path: Path, monkeypatch) -> None:
    kept = tmp_path / "models--some--one"
    (kept / "snapshots" / "0").mkdir(parents=True)
    (kept / "snapshots" / "0" / "config.json").write_text("{}")
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("0")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert unreachable("some/one", "model") is None
    assert unreachable("some/other", "model") is not None
