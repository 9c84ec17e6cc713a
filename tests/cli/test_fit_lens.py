"""`retinoscope fit-lens`: each kind on a scene or two, then again, shown and merged."""

from __future__ import annotations

from pathlib import Path

import pytest

import retinoscope as rs
from retinoscope.cli import main

FIT = {
    "jacobian": ("pocket", "scenes:2", "--new-tokens", "0", "--at", "visual"),
    "tuned": ("pocket", "scenes:2", "--new-tokens", "2", "--steps", "2"),
    "contextual": ("pocket", "scenes:2", "--text-layers", "1", "3", "--width", "64"),
}


def fitted(kind: str, out: Path, *more: str) -> int:
    return main(["fit-lens", kind, *FIT[kind], "--out", str(out), *more])


@pytest.mark.parametrize("kind", FIT)
def test_a_lens_is_fitted_once_and_shown(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / ("contexts" if kind == "contextual" else "lens.safetensors")
    assert fitted(kind, out) == 0
    said = capsys.readouterr()
    assert f"lens: {out}" in said.out
    assert f"{kind} lens of pocket: " in said.err
    assert ("held-out KL: layer 0" in said.out) == (kind == "tuned")
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    assert fitted(kind, out) == 0
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")} == before
    capsys.readouterr()
    assert main(["fit-lens", "show", str(out)]) == 0
    shown = capsys.readouterr().out
    assert f"kind                 {kind}" in shown
    assert "model                pocket" in shown
    vlm = rs.load("pocket")
    run = vlm.run(vlm.prompt(rs.data.scenes(1)[0].image, "Describe this image."))
    assert run.lens(kind=rs.lens.load(out, vlm), positions="last").kind == kind


def test_shards_are_merged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(tmp_path / f"{k}.safetensors") for k in (1, 2)]
    for k, file in enumerate(files, 1):
        assert fitted("jacobian", Path(file), "--shard", f"{k}/2") == 0
    out = str(tmp_path / "all.safetensors")
    assert main(["fit-lens", "merge", *files, "--out", out]) == 0
    assert main(["fit-lens", "merge", files[0], "--out", out]) == 2
    assert "all shards" in capsys.readouterr().err
    card = rs.lens.read_card(out)
    assert (card.n_prompts, card.corpus) == (2, "scenes:2")


def test_texts(tmp_path: Path) -> None:
    words = "the dog is left of the red car and the cat is above the tree and the blue car"
    corpus = tmp_path / "corpus.csv"
    corpus.write_text(f"text,n\n{words},1\n{words} and a dog,2\n")
    out = tmp_path / "lens.safetensors"
    command = ["fit-lens", "jacobian", "pocket", f"text:{corpus}", "--out", str(out)]
    assert main([*command, "--limit", "1"]) == 0
    card = rs.lens.read_card(out)
    assert (card.n_prompts, card.at, card.settings["skip_first"]) == (1, "text", 16)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--shard", "2"), "K/N"),
        (("--shard", "3/2"), "shard"),
        (("--limit", "0"), "--limit"),
        (("--seed", "-1"), "--seed"),
        (("--memory", "much"), "memory"),
        (("--at", "all"), "--at"),
        (("--question", " "), "prompt"),
    ],
)
def test_wrong_use(
    more: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fitted("jacobian", tmp_path / "lens.safetensors", *more) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_another_fit_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "lens.safetensors"
    assert fitted("jacobian", out, "--limit", "1") == 0
    before = out.read_bytes()
    assert fitted("jacobian", out) == 2
    assert "another corpus_hash" in capsys.readouterr().err
    assert out.read_bytes() == before
    assert main(["fit-lens", "show", str(tmp_path / "none.pt")]) == 2
