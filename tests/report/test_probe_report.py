"""The report of probes: its figures, their Python lines, its tables, and what was left out."""

from __future__ import annotations

import runpy
from xml.etree import ElementTree

import pytest

from retinoscope.cli import main
from retinoscope.reporting import compose, write_report


@pytest.fixture(scope="module")
def probed(tmp_path_factory):
    """Two planted encoders, probed by the command line."""
    folder = tmp_path_factory.mktemp("probes") / "probe"
    code = main(
        [
            *("probe", "planted:one-hot-patch", "squares:40", "--out", str(folder)),
            *("--encoders", "planted:global-broadcast", "--layers", "projector", "--seeds", "1"),
            *("--tasks", "name", "size", "semantic", "foreground", "instances", "--no-controls"),
        ]
    )
    assert code == 0
    return folder


def test_the_page_has_both_axes_and_pictures(probed) -> None:
    page = write_report(probed).read_text("utf-8")
    assert "What is where" in page
    assert "numbers could be found" in page
    (section,) = compose(probed).sections
    names = [figure.name for figure in section.figures]
    assert names[:2] == ["probe-axes", "probe-layers"]
    assert {"probe-semantic-0", "probe-instances-0"} <= set(names)
    for figure in section.figures:
        ElementTree.fromstring(figure.svg)
        assert (probed / "figures" / f"{figure.name}.svg").is_file()
    tables = {table.name: table for table in section.tables}
    layers = next(table for name, table in tables.items() if name.endswith("layers"))
    assert {row["encoder"] for row in layers.records} == {
        "planted:one-hot-patch",
        "planted:global-broadcast",
    }
    (pairs,) = (table for name, table in tables.items() if name.endswith("pairs"))
    verdicts = {(row[0], row[6]) for row in pairs.rows}
    assert ("foreground", "higher") in verdicts, "the planted difference"
    (left,) = (table for name, table in tables.items() if name.endswith("left-out"))
    assert any(row["task"] == "size" for row in left.records)
    (sums,) = (table for name, table in tables.items() if name.endswith("checksums"))
    assert all(row["same"] for row in sums.records)


def test_the_python_lines_of_a_figure_run(probed, monkeypatch) -> None:
    write_report(probed)
    monkeypatch.chdir(probed)
    monkeypatch.setenv("MPLBACKEND", "agg")
    for name in ("probe-axes", "probe-layers", "probe-semantic-0"):
        runpy.run_path(str(probed / "figures" / f"{name}.py"))
        assert (probed / f"{name}.svg").is_file()


def test_bad_use_is_one_line(tmp_path, capsys) -> None:
    out = ["--out", str(tmp_path / "run")]
    assert main(["probe", "small:objectives@nowhere", "squares:20", *out]) == 2
    assert "encoders.json" in capsys.readouterr().err
    assert main(["probe", "planted:direct", "squares:5", *out]) == 2
    assert "at least 10 different images" in capsys.readouterr().err
    assert main(["probe", "planted:direct", "squares:20", "--classes", "apple", *out]) == 2
    assert "class list" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
