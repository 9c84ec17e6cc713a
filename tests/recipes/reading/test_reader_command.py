"""`retinoscope train reader`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from retinoscope.cli import main


def test_it_trains_and_tells_what_was_read(tmp_path: Path, capsys) -> None:
    where = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    assert main(["train", "reader", "vision", *where, "--scale", "0.001"]) == 0
    told = capsys.readouterr()
    assert "vision, seed 0, on boards that no step saw:" in told.err + told.out
    scores = json.loads((tmp_path / "out" / "vision-0.json").read_text())["scores"]
    assert 0 <= scores["full: letter"] <= 1


@pytest.mark.parametrize(
    ("given", "said"), [(("eyes",), "expected arms of vision"), (("--scale", "0"), "above 0")]
)
def test_bad_input(given: tuple[str, ...], said: str, tmp_path: Path, capsys) -> None:
    where = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    assert main(["train", "reader", *given, *where]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
