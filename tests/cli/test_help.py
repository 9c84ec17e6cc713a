"""Help that teaches."""

from __future__ import annotations

import re
from collections import Counter

import pytest

import retinoscope
from retinoscope.cli import main
from retinoscope.cli._app import app
from retinoscope.pocket import MODELS
from retinoscope.studies.registry import STUDIES as COMMANDS_OF_STUDIES

STUDIES = (
    *("ablate", "lens", "knockout", "flow", "word-attention", "reprompt", "saliency"),
    "interfaces",
)
COMMANDS = (
    "demo",
    *STUDIES,
    "report",
    "models",
    "doctor",
    "known-answers",
    "collect",
    "train",
    "fit-lens",
)


def test_help_names_every_command_and_the_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for word in (*COMMANDS, "scenes:N", "coco:FOLDER", "folder:PATH", "130", "--debug"):
        assert word in text


@pytest.mark.parametrize(
    "command",
    [c for c in COMMANDS if c not in ("train", "fit-lens")]
    + ["train pocket"]
    + [f"fit-lens {kind}" for kind in ("jacobian", "tuned", "contextual", "merge", "show")],
)
def test_every_command_shows_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert f"retinoscope {command}" in text.split("For example:")[1]


@pytest.mark.parametrize("command", ["probe", "group", "serve", "view"])
def test_no_stubs(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command]) == 2
    assert command in capsys.readouterr().err


def test_no_two_commands_ask_the_same() -> None:
    heads = Counter(
        re.split(r"[.:?,]", app[name].help)[0]
        for name in app
        if not name.startswith("-") and app[name].show
    )
    assert max(heads.values()) == 1, heads.most_common(2)


PARTLY = {*filter(None, COMMANDS_OF_STUDIES.values()), "reproduce", "curate"}
"""Commands that go on where an image fails, and say so by their exit code."""


@pytest.mark.parametrize("command", sorted({*COMMANDS, *PARTLY} - {"train", "fit-lens"}))
def test_exit_code_3_stands_in_the_help_of_commands_that_use_it(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help"]) == 0
    codes = capsys.readouterr().out.split("Exit codes:")[1]
    assert re.findall(r"\d+", codes) == [
        "0",
        "1",
        "2",
        *(["3"] if command in PARTLY else []),
        "130",
    ]


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("group", ("encoder", "layer", "grouping", "method")),
        ("probe", ("encoder",)),
    ],
)
def test_options_of_several_values_also_go_by_their_old_names(
    command: str, names: tuple[str, ...]
) -> None:
    found = {one.name: one.names for one in app[command].assemble_argument_collection()}
    for name in names:
        assert found[f"--{name}s"] == (f"--{name}s", f"--{name}")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == retinoscope.__version__


def test_models_lists_the_packaged_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    text = capsys.readouterr().out
    assert "pocket" in MODELS
    for name in MODELS:
        assert f"{name} " in text


@pytest.mark.parametrize("former", ["look", "attend", "check"])
def test_former_names_work_and_are_not_shown(
    former: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([former, "--help"]) == 0
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out.split("Studies", 1)[1]
    assert not re.search(rf"[ │]{former} ", shown)
