"""A small run of each study on the pocket model, and the live page's application over it."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

import retinoscope as rs
from retinoscope.report import collect
from retinoscope.studies import AttentionKnockout, LogitLens, PromptOptions, TokenAblation
from retinoscope.viewer import _page
from retinoscope.viewer._library import Library
from retinoscope.viewer._reopen import reopen

N_SCENES = 4
STUB = Path(__file__).parent / "stub"


@pytest.fixture(scope="session")
def pocket() -> rs.VLM:
    return rs.load("pocket")


@pytest.fixture(scope="session")
def scenes() -> rs.data.Scenes:
    return rs.data.scenes(N_SCENES)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, pocket: rs.VLM, scenes: rs.data.Scenes) -> Path:
    """A folder with a finished run of each study."""
    folder = tmp_path_factory.mktemp("runs")
    TokenAblation(
        pocket,
        scenes,
        n_examples=1,
        tasks=("question",),
        modes=("corrected",),
        conditions=("object", "control"),
        fill="zero",
        prompts=PromptOptions(max_questions=2),
    ).run(folder / "ablation")
    LogitLens(pocket, scenes, n_examples=1, untrained=False).run(folder / "lens")
    AttentionKnockout(
        pocket,
        scenes,
        n_examples=1,
        sources=("object+1", "random=object+1"),
        targets=("last",),
        windows=("early", "all"),
        max_questions=2,
    ).run(folder / "knockout")
    return folder


@pytest.fixture(scope="session")
def library(runs: Path, pocket: rs.VLM) -> Library:
    found = collect(runs)
    return Library(found, reopen(found, lambda name: pocket), n_lens=2)


@pytest.fixture
def stub_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """The front end of these tests: small, without a build."""
    monkeypatch.setattr(_page, "STATIC", STUB)


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def scene_png(scenes: rs.data.Scenes) -> bytes:
    return png(scenes[0].image)


@dataclass(frozen=True)
class Served:
    """A server in a thread."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


Serving = Callable[..., "contextmanager[Served]"]


@contextmanager
def serving_app(app: object) -> Iterator[Served]:
    uvicorn = pytest.importorskip("uvicorn", reason="needs the extra 'serve'")
    config = uvicorn.Config(app, port=0, log_level="error", ws="none", timeout_keep_alive=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 20
    while not server.started and time.monotonic() < end:
        time.sleep(0.02)
    assert server.started
    try:
        yield Served(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="session")
def serving() -> Callable[..., object]:
    return serving_app
