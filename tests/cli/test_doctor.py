"""`retinoscope doctor`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_query import blip2, blip2_processor, mllama, mllama_processor

import retinoscope as rs
from retinoscope.cli import main
from retinoscope.cli._doctor import draw, size, taken


def _numbers(text: str, unit: str) -> list[float]:
    return [float(found) for found in re.findall(rf"([\d.e+]+) {unit}\b", text)]


def test_doctor_says_what_a_model_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny: rs.VLM, tiny_folder: Path
) -> None:
    Image.new("RGB", (56, 40), (200, 30, 30)).save(tmp_path / "red.png")
    out = tmp_path / "layout.png"
    arguments = ["--image", str(tmp_path / "red.png"), "--out", str(out)]
    assert main(["doctor", str(tiny_folder), *arguments]) == 0
    text = capsys.readouterr().out
    for words in (
        "LLaVA-1.5 (LlavaForConditionalGeneration)",
        "llama: 4 layers, 4 heads, d_model 32",
        "float32 on cpu, attention sdpa",
        "red.png, 56 x 40 pixels: 49 visual tokens, grid 7 x 7",
        "median of 3",
        f"layout: {out}",
    ):
        assert words in text
    for method in tiny.capabilities.methods:
        assert re.search(rf"^  {method.name} +yes$", text, re.MULTILINE), method.name
    n_bytes = sum(one.numel() * 4 for one in tiny.model.parameters())
    n_bytes += sum(one.numel() * one.element_size() for one in tiny.model.buffers())
    weights = re.search(r"weights +(\S+ \w+)$", text, re.MULTILINE)
    assert weights is not None
    assert weights[1] == size(n_bytes)
    with Image.open(out) as drawn:
        assert drawn.size[0] > 400


def test_memory_and_time_of_the_packaged_model(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["doctor", "pocket", "--out", str(tmp_path / "a.svg")]) == 0
    text = capsys.readouterr().out
    vlm = rs.load("pocket")
    sample = rs.data.scenes(1, seed=0)[0]
    run = vlm.run(vlm.prompt(sample.image, "Describe this image."))
    # Keys and values and the residual stream, at 4 bytes a number.
    layers, heads = vlm.n_layers, vlm.adapter.text_config.num_key_value_heads
    d_head = vlm.d_model // vlm.n_heads
    stream = 4 * run.n * vlm.d_model * (layers + 1)
    cache = 4 * run.n * heads * d_head * 2 * layers
    assert f"residual stream {size(stream)}" in text
    kept = re.search(r"kept by a run +([\d.]+) MB", text)
    assert kept is not None
    assert float(kept[1]) * 1e6 == pytest.approx(stream + cache, rel=0.05)
    most = re.search(r"at most +([\d.]+) MB", text)
    assert most is not None
    assert float(most[1]) > float(kept[1])
    assert len(_numbers(text, "m?s")) == 2
    # One box per visual token.
    drawn = (tmp_path / "a.svg").read_text("utf-8")
    assert len(re.findall(r"stroke: #0b62a4", drawn)) == len(run.image) == 144


def test_what_is_refused_is_said_with_the_reason(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    mllama().save_pretrained(tmp_path / "model")
    mllama_processor().save_pretrained(tmp_path / "model")
    out = tmp_path / "a.svg"
    assert main(["doctor", str(tmp_path / "model"), "--out", str(out)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "attention no its blocks receive the image's states" in text
    assert "hide patches with vlm.adapter.hide_patches" in text
    assert "68 visual tokens, 4 tiles" in text
    # Class tokens have no box.
    assert "4 without a box of their own" in text
    drawn = out.read_text("utf-8")
    for colour in ("#0b62a4", "#c25408", "#0b7a5b", "#93488f"):
        assert len(re.findall(rf"stroke: {colour}", drawn)) == 16


def test_learned_queries_are_drawn_where_they_looked(tmp_path: Path) -> None:
    vlm = rs.load(model=blip2(), processor=blip2_processor())
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (28, 28, 3), dtype=np.uint8))
    run = vlm.run(vlm.prompt(image, "Is there a cat in this image?"))
    draw(run, image, tmp_path / "a.svg")
    drawn = (tmp_path / "a.svg").read_text("utf-8")
    assert "where 6 learned queries looked" in drawn
    shades = [float(shade) for shade in re.findall(r"fill: #0a61a3; fill-opacity: ([\d.]+)", drawn)]
    weights = run.soft_origin().weights.mean(0)
    assert np.allclose(shades, 0.75 * (weights / weights.max()).numpy(), atol=1e-3)


def test_memory_is_counted() -> None:
    cpu, n_bytes = torch.device("cpu"), 4 * 1000 * 1000
    found, kept = taken(lambda: torch.ones(1000, 1000), cpu)
    assert kept.shape == (1000, 1000)
    assert found.kept == pytest.approx(n_bytes, rel=0.01)
    found, _ = taken(lambda: float((torch.ones(1000, 1000) + 1).sum()), cpu)
    assert found.peak == pytest.approx(2 * n_bytes, rel=0.01)
    assert found.kept < 1000


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (999_600, "1 MB"), (14_100_000_000, "14.1 GB")],
)
def test_sizes_read_well(n_bytes: int, text: str) -> None:
    assert size(n_bytes) == text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pocket", "--out", "a.bmp"], "--out must end in .png, .svg or .pdf"),
        (["pocket", "--out", "nowhere/a.png"], "no folder 'nowhere'"),
        (["pocket", "--image", "none.png"], "none.png: expected an image file"),
        (["./nothing-here"], "no such folder"),
        ([], "MODEL"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["doctor", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert words in captured.err
    assert list(tmp_path.iterdir()) == []


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from retinoscope.cli import main; code = main(['doctor', '--help']); "
        "assert code == 0; assert not {'torch', 'transformers', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "retinoscope doctor pocket" in done.stdout
