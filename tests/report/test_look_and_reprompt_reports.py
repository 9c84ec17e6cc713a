"""The reports of where words look and of re-prompting, from the command to the page."""

from __future__ import annotations

from pathlib import Path

from retinoscope.cli import main
from retinoscope.reporting import compose, write_report


def test_look_reports_the_planted_head(tmp_path: Path) -> None:
    out = tmp_path / "look"
    assert main(["look", "planted:direct", "squares:6", "--out", str(out)]) == 0
    write_report(out)
    figures = {file.stem: file.read_text("utf-8") for file in (out / "figures").glob("*.svg")}
    assert set(figures) == {"look-layers", "look-heads-word", "look-heads-predicting"}
    assert all("<image" not in svg for svg in figures.values())
    page = (out / "report.html").read_text("utf-8")
    assert "Most in block 2, head 2: 1.00." in page
    (finding,) = compose(out).findings
    assert finding.figure == "0.56"
    assert "block 2" in finding.sentence
    blind = tmp_path / "blind"
    options = ["--no-untrained"]
    assert main(["look", "planted:via-query", "squares:3", "--out", str(blind), *options]) == 0
    assert compose(blind).findings == ()
    write_report(blind)
    assert "no attention to the image at all" in (blind / "report.html").read_text("utf-8")


def test_reprompt_reports_its_curve(tmp_path: Path) -> None:
    out = tmp_path / "reprompt"
    shares = ["--shares", "0", "0.35", "1"]
    assert main(["reprompt", "planted:direct", "squares:8", "--out", str(out), *shares]) == 0
    write_report(out)
    (finding,) = compose(out).findings
    assert "with 35% of the visual tokens" in finding.versus
    assert "of the cache" in finding.versus
    assert "as many random ones" in finding.sentence
    svg = (out / "figures" / "reprompt.svg").read_text("utf-8")
    assert "<image" not in svg
    assert "asked on its own" in svg
    again = write_report(out).read_bytes()
    assert write_report(out).read_bytes() == again
