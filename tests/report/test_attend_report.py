"""The report of the comparison of heat maps, from the command to the page."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import get_args

from retinoscope.cli import main
from retinoscope.reporting import compose, write_report
from retinoscope.saliency import METHODS
from retinoscope.studies.attend.options import MapMethod

FEW = ("attention", "chefer", "knockout-effect", "lens-probability")


def test_the_command_knows_every_method() -> None:
    assert get_args(MapMethod) == tuple(METHODS)


def test_attend_reports_which_map_finds_the_planted_object(tmp_path: Path) -> None:
    out = tmp_path / "attend"
    command = ["attend", "planted:direct", "squares:10", "--score", "logit", "--controls", "1"]
    assert main([*command, "--methods", *FEW, "--out", str(out)]) == 0
    write_report(out)
    (finding,) = compose(out).findings
    assert finding.figure == "100%"
    assert finding.significant
    # All three point at it for every image: a tie has no best.
    assert "best" not in finding.title
    tied = {"chefer", "knockout-effect", "lens-probability"}
    assert all(name in finding.sentence for name in tied)
    figures = {file.stem: file.read_text("utf-8") for file in (out / "figures").glob("*.svg")}
    assert set(figures) == {
        "attend-leaders-generative",
        "attend-layers-generative",
        "maps-0",
        "maps-1",
        "maps-2",
    }
    for name, svg in figures.items():
        # The image stands once, and each method's panel shows it.
        assert svg.count("<image ") == (1 if name.startswith("maps") else 0)
    # Attention that is the same everywhere is undefined: it is on no leaderboard.
    assert figures["maps-0"].count("<use ") == 3
    page = (out / "report.html").read_text("utf-8")
    assert "Which heat map finds the object" in page
    assert "random order" in page
    assert "undefined: all of attention" in page
    assert len(set(re.findall(r'id="(maps-\d-picture)"', page))) == 3
    with (out / "tables" / "attend-planted-direct-generative-layers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["weights"] for row in rows} == {"trained", "untrained"}
    attention = [row for row in rows if row["method"] == "attention"]
    assert {row["n_undefined"] for row in attention if row["weights"] == "trained"} == {"10"}
    again = write_report(out).read_bytes()
    assert write_report(out).read_bytes() == again


def test_bad_options_are_one_line(tmp_path: Path, capsys) -> None:
    out = str(tmp_path / "run")
    for options, message in (
        (["--layers", "9"], "expected layers from 0 to 4 for lens-probability, got 9"),
        (["--controls", "-1"], "expected controls from 0 up, got -1"),
    ):
        command = ["attend", "planted:direct", "squares:2", "--out", out, *options]
        assert main(command) == 2
        error = capsys.readouterr().err.strip()
        assert message in error
        assert "Traceback" not in error


def test_maps_that_are_all_constant_are_a_report_of_nothing_found(tmp_path: Path) -> None:
    """Of a model that sees nothing: the mass of a constant map is at chance, nothing else is."""
    out = tmp_path / "blind"
    command = ["attend", "planted:blind", "squares:2", "--score", "logit", "--controls", "0"]
    assert main([*command, "--methods", "attention", "--out", str(out)]) == 0
    (section,) = compose(out).sections
    assert section.finding is None
    assert "constant maps, whose scores are undefined: all of attention" in section.sentences[-1]
    assert [figure.name for figure in section.figures if "leaders" in figure.name] == []
