"""A study is one folder and one line of the registry."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from retinoscope.studies import registry

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
