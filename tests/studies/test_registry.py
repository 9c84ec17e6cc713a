"""A study is one folder and one line of the registry."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

import retinoscope
from retinoscope.studies import registry

SOURCE = Path(retinoscope.__file__).parent
TOY = Path(__file__).parent / "toy"
SESSION = """
import sys
import retinoscope.studies as studies
from retinoscope.studies.registry import STUDIES

studies.__path__.append({folder!r})
STUDIES["length"] = "length"

from retinoscope.cli import main

for arguments in {commands!r}:
    code = main(arguments)
    if code:
        sys.exit(code)
"""
FOLDERS = SOURCE / "studies"
OTHER_MEANINGS = {
    "cli/_loading.py": {"float16", "float32"},
    "cli/_study_command.py": {"group"},  # a heading of `--help`
    "viewer/_library.py": {"flow", "lens"},  # documents of the page
    "viewer/_of_results.py": {"flow"},
    "viewer/_requests.py": {"knockout"},  # an intervention
    "viewer/_widget.py": {"lens"},
}
"""Words that happen to be a study's name, too."""


def _run(*commands: list[str]) -> str:
    """What the command line prints, in a package that has the toy study."""
    code = SESSION.format(folder=str(TOY), commands=commands)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_study_from_one_folder(tmp_path: Path) -> None:
    out = tmp_path / "run"
    helped = _run(
        ["length", "--help"],
        ["length", "pocket", "scenes:1", "--max-new-tokens", "4", "--out", str(out)],
        ["report", str(out)],
        ["view", str(out), "--out", str(tmp_path / "page")],
    )
    assert "How long is a description" in helped
    for option in ("--max-new-tokens", "longest description", "--max-area", "--seed", "MODEL"):
        assert option in helped
    assert json.loads((out / "run.json").read_text("utf-8"))["study"] == "length"
    page = (out / "report.html").read_text("utf-8")
    assert "Does a description get shorter without an object?" in page
    assert (out / "tables" / "length.csv").exists()
    shown = "".join(
        file.read_text("utf-8") for file in (tmp_path / "page").rglob("*.js*") if file.is_file()
    )
    assert "Length of descriptions of pocket" in shown
    assert "mean number of words" in shown


def test_every_study_has_its_parts() -> None:
    for study, command in registry.STUDIES.items():
        main, _ = registry.summaries_of(study)
        assert main.conditions
        assert registry.noun_of(study)
        assert registry.table_note_of(study)
        if command is not None:
            assert registry.options_of(study).__doc__


def _constants(path: Path) -> set[str]:
    """All strings in a file but docstrings."""
    tree = ast.parse(path.read_text("utf-8"))
    texts = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in texts
    }


def _conditions() -> set[str]:
    """What the options of all studies let one choose, where it is no plain word."""
    found = set()
    for study in registry.STUDIES:
        if registry.has_part(study, "options"):
            for hint in get_type_hints(registry.options_of(study)).values():
                found |= _choices(hint)
    return {name for name in found if not name.isalpha()}


def _choices(hint: object) -> set[str]:
    if get_origin(hint) is Literal:
        return {value for value in get_args(hint) if isinstance(value, str)}
    return {name for part in get_args(hint) for name in _choices(part)}


def test_what_is_said_of_a_study_stands_in_its_folder() -> None:
    """Elsewhere nobody knows a study, or a condition, by its name."""
    files = [path for room in ("cli", "viewer", "report") for path in (SOURCE / room).rglob("*.py")]
    shared = ("registry.py", "token_sets.py", "windows.py")
    files += [path for path in FOLDERS.glob("*.py") if path.name not in shared]
    names = set(registry.STUDIES) | _conditions()
    known = {}
    for path in files:
        place = path.relative_to(SOURCE).as_posix()
        if found := _constants(path) & names - OTHER_MEANINGS.get(place, set()):
            known[place] = found
    assert known == {}


@pytest.mark.parametrize("study", registry.STUDIES)
def test_every_study_names_the_edit_of_a_row_or_none(study: str) -> None:
    assert registry.condition_of(study)({}) is None


def test_the_planted_studies_are_those_with_a_planted_part() -> None:
    assert {s for s in registry.STUDIES if registry.has_part(s, "planted")} == set(registry.PLANTED)
