"""The load command runs, and nothing fails with a few clients; no test looks at a time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra 'serve'")

from benchmarks import load


def test_a_few_clients_are_all_answered(tmp_path: Path) -> None:
    given = ["--clients", "3", "--seconds", "3", "--think", "0.05", "--out", str(tmp_path)]
    assert load.main(given) == 0
    (case,) = json.loads((tmp_path / "load.json").read_text("utf-8"))["cases"]
    assert case["errors_shown"] == 0
    assert case["statuses"].keys() <= {"200", "429", "503"}
    assert case["statuses"]["200"] > 10


@pytest.mark.parametrize("given", [["--clients", "501"], ["--seconds", "301"], ["--seconds", "0"]])
def test_it_is_bounded(given: list[str]) -> None:
    with pytest.raises(SystemExit):
        load.main(given)
