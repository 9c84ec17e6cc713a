"""The report of perceptual grouping, from the command to the page and to a figure's own lines."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

from retinoscope.cli import main
from retinoscope.reporting import compose, write_report
from retinoscope.studies.group.section import grouping_finding


def test_group_reports_labels_groups_and_pictures(tmp_path: Path, capsys, monkeypatch) -> None:
    out = tmp_path / "group"
    options = ["--groupings", "kmeans", "pc", "--attribution-images", "2", "--examples", "1"]
    command = ["group", "planted:one-hot-patch", "squares:12", "--out", str(out), *options]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "Locations tell which class they show: 1.00 against 0.00 with swapped prompts" in said
    write_report(out)
    page = (out / "report.html").read_text("utf-8")
    assert "bound of the grid 1.00" in page
    assert "groups by kmeans" in page
    (told,) = re.findall(r"Against superpixels: [^<]*", page)
    assert "not significant" in told or "the control" in told, "colours give these objects away"
    figures = out / "figures"
    assert {file.stem for file in figures.glob("*.py")} == {
        "group-labels-planted-one-hot-patch",
        "group-overlap-planted-one-hot-patch",
    }
    assert (figures / "group-planted-one-hot-patch-0-truth.svg").is_file()
    assert "of 8 locations on objects are right" in page or "of 12 locations" in page
    (finding,) = compose(out).findings
    assert finding.significant
    monkeypatch.chdir(out)
    monkeypatch.setenv("MPLBACKEND", "agg")
    for file in figures.glob("*.py"):
        runpy.run_path(str(file))
    assert main(command) == 0, "the same command goes on, here from the end"


def test_bad_input_is_one_line(tmp_path: Path, capsys) -> None:
    start = ["group", "planted:one-hot-patch", "squares:2", "--out", str(tmp_path / "run")]
    for options, said in (
        (["--classes", "apple", "apple"], "'apple' twice"),
        (["--n-groups", "40", "--no-untrained"], "ask for fewer groups"),
        (["--template", "a photo"], "expected a template"),
        (["--background", "sky", "Sky"], "'Sky' beside 'sky'"),
        (["--layers", "attic"], "got 'attic'"),
    ):
        assert main([*start, *options]) in (1, 2)
        text = capsys.readouterr().err
        assert said in text
        assert "Traceback" not in text


def test_the_claim_tells_of_the_condition_that_it_counts() -> None:
    def row(background: str, value: float) -> dict:
        ends = {
            f"{name}{end}": x
            for name, x in (("value", value), ("control_value", 0.0), ("difference", value))
            for end in ("", "_low", "_high")
        }
        told = {"kind": "top-down", "model": "m", "weights": "trained", "candidates": "all"}
        told |= {"method": "text", "layer": "joint", "control": "shuffled", "n": 3}
        return told | ends | {"background": background, "constant": 0.1, "bound": 0.9}

    finding = grouping_finding([row("none", 0.2), row("prompts", 0.4)])
    assert finding is not None
    assert finding.figure == "0.40"
    assert "background prompts compete: mean IoU 0.40" in finding.sentence
