"""Two images prove nothing, and the terminal says so once."""

from __future__ import annotations

from pathlib import Path

import pytest

from retinoscope.cli import main

FEW = {
    "ablate": ("--tasks", "polling", "--modes", "corrected", "--conditions", "object+1", "control"),
    "lens": ("--no-untrained",),
}


@pytest.mark.parametrize("command", FEW)
def test_two_scenes_are_too_few_for_any_title(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "run")
    assert main([command, "pocket", "scenes:2", "--out", out, *FEW[command]]) == 0
    title, sentence, *_ = capsys.readouterr().out.splitlines()
    assert title.startswith("Too few images to say whether")
    assert "Paired difference" in sentence
    assert "Nothing can be concluded" in sentence


def test_the_lens_takes_covers_and_no_single_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["lens", "pocket", "scenes:2", "--out", str(tmp_path), "--min-cover", "0.5"]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert "--covers" in error
    # Of its own help, not of the list of commands.
    assert "retinoscope lens --help" in error


@pytest.mark.parametrize("command", ["lens", "look"])
def test_studies_of_the_clean_run_have_no_path(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "run")
    assert main([command, "pocket", "scenes:2", "--out", out, "--exact", "reference"]) == 2
    assert "--exact" in capsys.readouterr().err


def test_reprompt_has_no_cover(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "run")
    assert main(["reprompt", "pocket", "scenes:2", "--out", out, "--min-cover", "0.5"]) == 2
    assert "--min-cover" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--seed", "--data-seed", "--limit", "--examples", "--workers"])
def test_numbers_are_checked_before_anything_is_opened(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(["ablate", "no-such-model", "scenes:2", "--out", str(out), option, "-1"]) == 2
    assert option in capsys.readouterr().err
    assert not out.exists()
