"""`retinoscope saliency` on data that knows where observers looked."""

from __future__ import annotations

from pathlib import Path

import pytest

import retinoscope as rs
from retinoscope.cli import main
from retinoscope.studies import open_results


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return rs.gaze.write_simulated(rs.data.squares(2, seed=2), tmp_path / "data")


def _attend(data: str, *more: str) -> int:
    return main(["attend", "planted:one-hot-patch", data, "--methods", "lens-probability", *more])


def test_the_data_decides_and_it_is_said(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    options = ("--no-untrained", "--distractors", "0", "--granularities", "word")
    assert _attend(f"vista:{folder}", *options, "--out", str(out)) == 0
    said = capsys.readouterr()
    assert "where observers looked (simulated)" in said.err
    assert "looks where simulated observers look" in " ".join(said.out.split())
    results = open_results(out)
    assert results.study == "alignment"
    assert {r["provenance"] for r in results.table.to_pylist()} == {"simulated"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--tasks", "polling"), "--tasks is about objects' masks"),
        (("--max-objects", "3"), "--max-objects is about objects' masks"),
        (("--min-cover", "0.5"), "--min-cover is about objects' masks"),
        (("--distractors", "-1"), "distractors from 0 up"),
        (("--steps", "5"), "steps: expected a method that takes a number of them"),
        (("--exact", "reference"), "exact: expected a method that makes interventions"),
    ],
)
def test_options_of_the_other_kind_are_refused(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...],
    message: str,
) -> None:
    assert _attend(f"vista:{folder}", *more, "--out", str(tmp_path / "out")) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--steps", "5"), "got lens-probability: leave steps out, or ask for one of integrated-"),
        (("--resolution", "64"), "--resolution is about where observers looked"),
        (("--no-untrained",), "--no-untrained is about where observers looked"),
    ],
)
def test_options_that_masks_do_not_take_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], message: str
) -> None:
    assert _attend("squares:2", *more, "--out", str(tmp_path / "out")) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_observers_cannot_be_asked_for_where_there_are_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    assert _attend("squares:2", "--against", "observers", "--out", out) == 2
    assert "expected data that knows where people looked" in capsys.readouterr().err


def test_a_collection_needs_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["collect", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert "expected images" in err
    assert len(err.strip().splitlines()) == 1


def test_a_contrastive_model_is_compared_too(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["attend", "small:contrastive-max"]
    few = ["--distractors", "1", "--granularities", "word", "--no-untrained"]
    out = tmp_path / "out"
    assert main([*asked, "simulated:2", *few, "--out", str(out)]) == 0
    assert "(contrastive model)" in " ".join(capsys.readouterr().out.split())
    assert {r["kind"] for r in open_results(out).summary().to_pylist()} == {"contrastive"}


@pytest.mark.parametrize(
    ("data", "more", "message"),
    [
        ("squares:2", (), "only a VLM names objects itself"),
        ("simulated:2", ("--methods", "chefer"), "choose from similarity, occlusion"),
        ("simulated:2", ("--steps", "5"), "similarity: leave steps out"),
        ("simulated:2", ("--exact", "reference"), "similarity: leave exact out"),
        ("simulated:2", ("--dtype", "bfloat16"), "is for loading a vision-language model"),
    ],
)
def test_what_a_contrastive_model_cannot_do_is_one_line(
    data: str,
    more: tuple[str, ...],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    assert main(["attend", "small:contrastive-max", data, *more, "--out", str(out)]) == 2
    err = capsys.readouterr().err
    assert message in " ".join(err.split())
    assert not out.exists()
