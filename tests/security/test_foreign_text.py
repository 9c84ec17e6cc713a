"""Names from data and models control neither the terminal nor a spreadsheet."""

from __future__ import annotations

import ast
import csv
import io
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinoscope import cli
from retinoscope.cli import main
from retinoscope.cli._main import explained
from retinoscope.cli._progress import Progress
from retinoscope.cli._say import printable
from retinoscope.errors import InputError
from retinoscope.report.page import csv_rows

ATTACK = "cat\x1b]0;title\x07\x1b[2J\x9b31m\u202egpj\r\nerror: forged\u2028[red]x[/red]"


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def raw(text: str) -> set[str]:
    """Characters in `text` that control a terminal."""
    return {
        c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c != "\n"
    }


@given(st.text(st.characters(), max_size=40))
def test_any_text_is_one_line_that_can_be_written(text: str) -> None:
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert raw(shown) - {"\u200c", "\u200d"} == set()
    shown.encode("utf-8")


def test_what_can_be_read_stays_as_it_is() -> None:
    persian, astronaut = "\u0633\u06af\u200c\u0647\u0627", "\U0001f469\u200d\U0001f680"
    for text in ("Größe 3\u00a0px", "猫", persian, astronaut, "a\\b", "[red]"):
        assert printable(text) == text
    assert printable("\x1b[0m\t\udcff\u202e") == "\\x1b[0m\\t\\udcff\\u202e"
    assert printable("a\nb") == "a\\nb"
    assert printable("a\nb\r", lines=True) == "a\nb\\r"


def test_progress_when_piped_escapes_names() -> None:
    stream = io.StringIO()
    with Progress(stream) as progress:
        show = progress.stage(ATTACK)
        show(0, 1, ATTACK)
        progress.say(ATTACK)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert raw(stream.getvalue()) == set()


def test_the_bar_escapes_names_and_reads_no_markup(monkeypatch) -> None:
    # A terminal without colours and cursor: what is left of escapes is the names' own.
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "400")
    stream = _Terminal()
    with Progress(stream) as progress:
        show = progress.stage(ATTACK)
        show(1, 1, ATTACK)
        progress.say(ATTACK)
    told = stream.getvalue()
    assert not raw(told) & {"\x07", "\x9b", "\u202e", "\u2028"}
    assert "\x1b]0" not in told
    assert "\x1b[2J" not in told
    assert "[red]x[/red]" in told


@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_errors_escape_names(capsys, tmp_path, debug) -> None:
    assert main(["flow", "pocket", ATTACK, "--out", str(tmp_path / "x"), *debug]) == 2
    told = capsys.readouterr().err
    assert raw(told) == set()
    assert "\\x1b" in told
    assert explained(InputError("a\nb"))[1].count("\n") == 0


def test_a_warning_is_one_line() -> None:
    program = (
        "import sys, warnings; from retinoscope.cli import main; main(['--version']);"
        "warnings.warn('cat \\x1b[2J' + chr(10) + 'error: forged')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "warning: cat \\x1b[2J error: forged\n"


def test_all_that_a_command_prints_goes_through_say() -> None:
    found = []
    for path in Path(cli.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Name) and called.id == "print":
                found.append(path.name)
    assert found == ["_say.py"]


def test_cells_that_begin_a_formula_are_defused_and_numbers_stay() -> None:
    evil = ["=1+2", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "-"]
    good = ["", "cat", "a=b", "object+1", "-3", "-0.5", "+1e-3", "'quoted"]
    numbers = [-1, -0.25, 3, None, True]
    content = csv_rows(("run", "=x"), [evil, good, numbers]).decode()
    header, first, second, third = csv.reader(io.StringIO(content, newline=""))
    assert header == ["run", "'=x"]
    assert first == ["'" + cell.replace("\r", "\n") for cell in evil]
    assert second == good
    assert third == ["-1", "-0.25", "3", "", "True"]
    assert csv_rows(("a",), [("\udcff",)]) == b"a\n\\udcff\n"
