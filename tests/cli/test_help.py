"""Help that teaches."""

from __future__ import annotations

import pytest

import retinoscope
from retinoscope.cli import main
from retinoscope.pocket import MODELS

STUDIES = ("ablate", "lens", "knockout", "flow", "look", "reprompt", "attend")
COMMANDS = ("demo", *STUDIES, "report", "models", "doctor", "check", "collect", "train")


def test_help_names_every_command_and_the_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for word in (*COMMANDS, "scenes:N", "coco:FOLDER", "folder:PATH", "130", "--debug"):
        assert word in text


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "train"] + ["train pocket"])
def test_every_command_shows_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert f"retinoscope {command}" in text.split("For example:")[1]


@pytest.mark.parametrize("command", ["probe", "group", "serve", "view"])
def test_no_stubs(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command]) == 2
    assert command in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == retinoscope.__version__


def test_models_lists_the_packaged_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    text = capsys.readouterr().out
    assert "pocket" in MODELS
    for name in MODELS:
        assert f"{name} " in text
