"""The report of an information-flow study, from the command to the page."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import get_args

import pytest

from retinoscope.cli import main
from retinoscope.cli._check import Method
from retinoscope.reporting import compose
from retinoscope.studies import CHECKS
from retinoscope.studies.flow.names import edge_names
from retinoscope.studies.report import Report

SQUARES = ("squares:6", "--max-new-tokens", "16", "--width", "2")
"""As few images as a finding needs, as many words as a description of them has, wide windows."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    out = tmp_path_factory.mktemp("flow") / "run"
    assert main(["flow", "planted:via-query", *SQUARES, "--out", str(out)]) == 0
    composed = compose(out)
    composed.write()
    return composed


def test_the_claim_says_which_path_was_planted(report: Report, tmp_path: Path) -> None:
    (finding,) = report.findings
    assert finding.title == "The question's tokens carry the image to the words"
    assert finding.significant
    assert "random edges" in finding.sentence
    out = tmp_path / "direct"
    options = ["--layers", "all", "--tasks", "description", "--no-untrained"]
    assert main(["flow", "planted:direct", *SQUARES, "--out", str(out), *options]) == 0
    assert compose(out).findings[0].title == "The words read the image directly"


def test_figures_are_vectors_and_tables_whole(report: Report) -> None:
    folder = report.folder
    figures = {file.stem: file.read_text("utf-8") for file in (folder / "figures").glob("*.svg")}
    assert set(figures) == {
        *("flow-edges-description", "flow-edges-question"),
        *(
            f"flow-{kind}-{reading}"
            for kind in ("windows", "heat")
            for reading in ("query", "generated")
        ),
    }
    assert all("<image" not in svg for svg in figures.values())
    (section,) = report.sections
    summary = report.runs[0].summary
    for table in section.tables[:2]:
        with (folder / "tables" / f"{table.name}.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == len([r for r in summary if r["task"] == rows[0]["task"]])
    page = (folder / "report.html").read_text("utf-8")
    assert "image → generated" in page
    assert "(nothing)" in page, "what is written when nothing can be seen"
    assert "untrained" in page


def test_edges_of_zhang_have_one_reading(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "zhang"
    options = ["--preset", "zhang", "--tasks", "question", "--layers", "all", "--no-controls"]
    assert main(["flow", "planted:direct", "squares:2", "--out", str(out), *options]) == 0
    rows = compose(out).runs[0].summary
    assert {row["reading"] for row in rows} == {"generated"}
    changes = {r["edges"]: r["probability_change"] for r in rows if r["weights"] == "trained"}
    lost = {edges for edges, change in changes.items() if change < -0.5}
    assert lost == {"image:last", "object:last"}
    assert "image:moon" not in capsys.readouterr().out
    assert main(["flow", "planted:direct", "squares:2", "--out", str(out), "--edges", "moon"]) == 2
    assert "SOURCE:TARGET" in capsys.readouterr().err


def test_names_of_edges_are_read_aloud() -> None:
    assert edge_names("image:query,image:last") == "image → query, image → last"
    assert edge_names("image:last", is_control=True) == "as many random edges as image → last"


def test_check_knows_every_method() -> None:
    assert get_args(Method) == tuple(CHECKS)


def test_check_prints_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "attribution-patching", "--images", "3"]) == 0
    text = capsys.readouterr().out
    assert "tells one-hot-patch from global-broadcast by (2)" in text
    assert "does not tell via-query from direct" in text
    assert main(["check", "tea-leaves"]) == 2
