"""A small run of each study on the pocket model, and the live page's application over it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from serving import serving_app

import retinoscope as rs
from retinoscope.answers.tasks import PromptOptions
from retinoscope.lens import Card, Jacobian
from retinoscope.studies import AttentionKnockout, LogitLens, TokenAblation
from retinoscope.studies.runs import collect
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
        sources=("object+1", "control"),
        targets=("last",),
        windows=("early", "all"),
        max_questions=2,
    ).run(folder / "knockout")
    return folder


@pytest.fixture(scope="session")
def library(runs: Path, pocket: rs.VLM) -> Library:
    found = collect(runs)
    return Library(found, reopen(found, lambda name: pocket), n_lens=2)


@pytest.fixture(scope="session")
def jacobian(pocket: rs.VLM) -> Jacobian:
    """A lens that belongs to the pocket model, of the layers below its middle."""
    layers, width = tuple(range(5)), pocket.d_model
    numbers = torch.Generator().manual_seed(0)
    noise = {k: torch.randn(width, width, generator=numbers) / width for k in layers}
    card = Card.of(pocket.adapter, "jacobian", layers, n_prompts=1, corpus="scenes")
    return Jacobian({k: torch.eye(width) + noise[k] for k in layers}, card)


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


@pytest.fixture(scope="session")
def serving() -> Callable[..., object]:
    return serving_app
