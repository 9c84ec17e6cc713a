"""Malformed model folders end in one line; `python -m benchmarks.malformed_models` tries more."""

from __future__ import annotations

import json
import resource
import shutil
from pathlib import Path

import pytest

import retinoscope as rs
from benchmarks.malformed_models import make_model, opened


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "model"))


def test_the_folder_itself_opens(good: Path) -> None:
    assert opened(good) == "harmless"


@pytest.mark.parametrize("part", ["text_config", "vision_config"])
@pytest.mark.parametrize(
    ("size", "value"),
    [
        ("hidden_size", 3 * 2**28),
        ("intermediate_size", 10**6),
        ("num_hidden_layers", 50_000),
        ("num_hidden_layers", 10**18),
    ],
)
def test_a_size_that_the_weights_do_not_have_takes_no_memory(
    folder: Path, part: str, size: str, value: int
) -> None:
    file = folder / "config.json"
    content = json.loads(file.read_text("utf-8"))
    content[part][size] = value
    file.write_text(json.dumps(content), "utf-8")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(rs.InputError, match=rf"config\.json.*{size} = {value}"):
        rs.load(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


@pytest.mark.parametrize("template", ["{% for x in", "{{ 1 / 0 }}", "{{ messages.a.b.c }}"])
def test_a_chat_template_that_writes_nothing(folder: Path, template: str) -> None:
    (folder / "chat_template.jinja").write_text(template, "utf-8")
    with pytest.raises(rs.CapabilityError, match="chat template"):
        opened_prompt(folder)


def opened_prompt(folder: Path) -> None:
    vlm = rs.load(folder)
    vlm.prompt(rs.data.scenes(1)[0].image, "Describe this image.")


@pytest.mark.parametrize("header", [b"", b"\xff" * 8 + b"{", (2).to_bytes(8, "little") + b"{}"])
def test_weights_whose_header_is_damaged(folder: Path, header: bytes) -> None:
    file = folder / "model.safetensors"
    file.unlink()
    file.write_bytes(header)
    with pytest.raises(rs.InputError, match=r"model"):
        rs.load(folder)
