"""`retinoscope demo` from scenes to report, with studies that only write made-up rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from synthetic_runs import PEAKS, ablation_rows, knockout_rows, lens_rows, write_run

from retinoscope.cli import _demo, main


@dataclass
class _Study:
    name: str
    model: str

    def run(self, out: Path, progress: Callable[[int, int, str], None]) -> None:
        makers = {
            "ablation": ablation_rows,
            "lens": lambda sample, rng: lens_rows(sample, rng, PEAKS[self.model]),
            "knockout": knockout_rows,
        }
        if not (out / "run.json").exists():
            write_run(out, self.name, self.model, makers[self.name], samples=5)
        progress(8, 8, "scene-7")


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    import retinoscope.engine

    def studies(vlm: str, *_: object) -> list[_Study]:
        names = ("ablation", "lens", "knockout") if vlm == "pocket" else ("lens",)
        return [_Study(name, vlm) for name in names]

    monkeypatch.setattr(retinoscope.engine, "load", lambda name: name)
    # Whatever of them this checkout holds weights of.
    for room in ("retinoscope.pocket", "retinoscope.studies.runs"):
        monkeypatch.setattr(f"{room}.MODELS", tuple(_demo.PLAN))
    monkeypatch.setattr(_demo, "samples_of", lambda *_: ["scene"] * 8)
    monkeypatch.setattr(_demo, "_studies", studies)


def test_demo_prints_three_results_and_the_report(
    made_up: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out)]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[-1] == f"report: {out / 'report.html'}"
    assert len(lines) == 7
    assert sum("against" in line for line in lines[:-1:2]) == 3
    assert "pocket-none: lens: 8/8 (100%)" in captured.err
    assert (out / "pocket-sentences" / "lens" / "results.parquet").exists()
    text = (out / "report.html").read_text("utf-8")
    assert "contrast models: pocket-sentences and pocket-none" in text


def test_demo_goes_on_where_it_was_interrupted(
    made_up: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "demo"
    whole = _Study.run
    monkeypatch.setattr(_demo, "_studies", lambda vlm, *_: [_Study("lens", vlm)])

    def interrupted(self: _Study, out: Path, progress: Callable[[int, int, str], None]) -> None:
        if self.model == "pocket-none":
            raise KeyboardInterrupt
        whole(self, out, progress)

    monkeypatch.setattr(_Study, "run", interrupted)
    assert main(["demo", "--out", str(out)]) == 130
    assert not (out / "report.html").exists()
    before = (out / "pocket" / "lens" / "results.parquet").stat().st_mtime_ns
    monkeypatch.setattr(_Study, "run", whole)
    assert main(["demo", "--out", str(out)]) == 0
    assert (out / "pocket" / "lens" / "results.parquet").stat().st_mtime_ns == before
