"""The bench of the page's requests runs; no test looks at a time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra 'serve'")

from benchmarks import live


def test_each_step_is_measured_on_both_servers(tmp_path: Path) -> None:
    assert live.main(["--repeats", "1", "--threads", "1", "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "live.json").read_text("utf-8"))["medians_ms"]
    assert set(found) == {"manifest", "ask", "attention", "effect", "lens"}
    assert all(one["Nagle"] > 0 and one["now"] > 0 for one in found.values())
