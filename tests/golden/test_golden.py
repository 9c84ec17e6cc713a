"""What all studies say stays what it was; `golden.py` writes it anew."""

from __future__ import annotations

import json
from pathlib import Path

import golden
import pytest


@pytest.mark.parametrize("study", golden.RUNS)
def test_every_cell_of_every_table(study: str, tmp_path: Path) -> None:
    golden.run(study, tmp_path / "run")
    kept = {file.name.split(".")[1] for file in golden.TABLES.glob(f"{study}.*.csv")}
    found = dict(golden.tables(tmp_path / "run"))
    assert set(found) == kept
    for name, rows in found.items():
        before = (golden.TABLES / f"{study}.{name}.csv").read_text("utf-8")
        assert golden.differences(study, golden.written(rows), before) == [], name


def test_the_commands_options() -> None:
    now, before = golden.options(), json.loads(golden.OPTIONS.read_text("utf-8"))
    assert list(now) == list(before)
    for command in now:
        assert now[command] == before[command], command
