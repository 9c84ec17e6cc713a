"""The page: whole, self-contained, honest, and safe with any name."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from synthetic_runs import ablation_rows, lens_rows, write_run

from retinoscope.cli import main
from retinoscope.errors import InputError
from retinoscope.report.blocks import file_name
from retinoscope.reporting import compose, headlines, write_report
from retinoscope.studies.report import Report


@pytest.fixture(scope="module")
def report(demo: Path) -> Report:
    return compose(demo)


@pytest.fixture(scope="module")
def page(report: Report) -> str:
    return report.write().read_text("utf-8")


class _Reader(HTMLParser):
    """Collects references, identifiers and tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster"):
                self.references.append(value or "")
            if name == "id":
                self.ids.append(value or "")


def test_page_refers_to_nothing_outside_itself(page: str) -> None:
    reader = _Reader(page)
    outside = [r for r in reader.references if not r.startswith(("#", "data:image/png;base64,"))]
    assert outside == []
    assert "script" not in reader.tags
    assert "link" not in reader.tags
    assert not re.search(r"@import|url\((?!#)", page)


def test_links_inside_the_page_have_their_targets(page: str) -> None:
    reader = _Reader(page)
    wanted = {r[1:] for r in reader.references if r.startswith("#")}
    assert wanted <= set(reader.ids)
    assert len(reader.ids) == len(set(reader.ids))


def test_figures_are_vectors_with_descriptions(page: str, demo: Path) -> None:
    names = {path.stem for path in (demo / "figures").glob("*.svg")}
    assert {"ablation", "ablation-count", "lens", "knockout", "knockout-sliding"} <= names
    assert {"example-grid", "example-tokens", "words-layer-8"} <= names
    for path in (demo / "figures").glob("*.svg"):
        ElementTree.fromstring(path.read_text("utf-8"))
        assert "var(--" not in path.read_text("utf-8")
        assert f'id="figure-{path.stem}"' in page
    descriptions = re.findall(r'role="img" aria-label="([^"]*)"', page)
    assert len(descriptions) == len(names)
    assert all(len(text) > 30 for text in descriptions)


def test_page_has_a_dark_and_a_light_palette(page: str) -> None:
    assert "@media (prefers-color-scheme:dark)" in page
    used = set(re.findall(r"var\(--([a-z]+)\)", page))
    defined = set(re.findall(r"--([a-z]+):", page))
    assert used <= defined


def test_tables_hold_every_summary_in_full(demo: Path, page: str) -> None:
    lines = (demo / "tables" / "ablation-pocket-corrected.csv").read_text().splitlines()
    assert {"task", "token_set", "rings", "decrease", "decrease_low", "n"} <= set(
        lines[0].split(",")
    )
    assert len(lines) == 1 + 3 * 13
    assert "tables/ablation-pocket-corrected.csv" in page


def test_token_picture_is_in_true_geometry(page: str, demo: Path) -> None:
    text = (demo / "figures" / "example-tokens.svg").read_text()
    groups = ElementTree.fromstring(text).findall("{http://www.w3.org/2000/svg}g")
    counts = [len(group) for group in groups]
    assert counts == [144 - 25, 16, 9]
    first = groups[2][0]
    # Row 2, column 2 of 12 x 12 tokens on 480 units.
    assert (float(first.get("x", 0)), float(first.get("y", 0))) == (80, 80)
    assert float(first.get("width", 0)) == 40


def test_report_is_the_same_the_second_time(tmp_path: Path) -> None:
    write_run(tmp_path, "lens", "pocket", lambda s, r: lens_rows(s, r, 0.5), samples=4)
    first = write_report(tmp_path).read_bytes()
    assert write_report(tmp_path).read_bytes() == first


def test_failed_samples_are_listed(page: str) -> None:
    assert "bad-0" in page
    assert "the mask is empty: give one with a pixel" in page


def test_methods_name_command_versions_and_fingerprints(page: str) -> None:
    assert "retinoscope ablation pocket scenes:16 --out runs/ablation" in page
    assert "pocket-0123456789abcdef" in page
    assert "torch" in page


def test_lens_says_which_pretraining_gives_which_curve(page: str) -> None:
    assert "language model read maps of words first" in page
    assert "says nothing about language models in general" in page


def test_paper_numbers_are_marked_as_another_model(page: str) -> None:
    assert "LLaVA-1.5-7B on COCO: another model on other data" in page
    assert "72% (caption), 51% (yes/no) and 87% (question)" in page


def test_headlines_are_three_with_controls(report: Report) -> None:
    assert [finding.significant for finding in report.findings] == [True, True, True]
    assert all("against" in finding.versus for finding in report.findings)


def test_an_effect_that_does_not_show_is_said(tmp_path: Path) -> None:
    def none(sample: str, rng: np.random.Generator) -> list[dict[str, object]]:
        return ablation_rows(sample, rng, effect=False)

    write_run(tmp_path, "ablation", "pocket", none)
    (finding,) = headlines(tmp_path)
    assert finding.significant is False
    text = write_report(tmp_path).read_text("utf-8")
    assert "No evidence that objects are local" in text
    assert "Objects are local" not in text


def test_a_single_run_directory_reports_beside_its_results(tmp_path: Path) -> None:
    write_run(tmp_path / "lens", "lens", "other", lambda s, r: lens_rows(s, r, 0.5))
    path = write_report(tmp_path / "lens")
    assert path == tmp_path / "lens" / "report.html"
    text = path.read_text("utf-8")
    assert "language model read" not in text


def test_markup_in_names_is_escaped(tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>&\"'"
    write_run(
        tmp_path / "a",
        "ablation",
        evil,
        ablation_rows,
        samples=6,
        failing=(f"broken {evil}",),
        object_name=evil,
    )
    write_run(
        tmp_path / "l",
        "lens",
        evil,
        lambda s, r: lens_rows(s, r, 0.5),
        samples=6,
        object_name=evil,
    )
    text = write_report(tmp_path).read_text("utf-8")
    reader = _Reader(text)
    assert "img" not in reader.tags
    assert all(r.startswith(("#", "data:")) for r in reader.references)
    assert "onerror=alert" in text
    names = [path.name for path in (tmp_path / "tables").iterdir()]
    assert all(re.fullmatch(r"[\w.+-]+\.csv", name) for name in names)
    for path in (tmp_path / "figures").glob("*.svg"):
        ElementTree.fromstring(path.read_text("utf-8"))


@pytest.mark.parametrize("case", ["missing", "empty", "unfinished"])
def test_bad_folders_are_refused(tmp_path: Path, case: str) -> None:
    folder = tmp_path / case
    if case != "missing":
        folder.mkdir()
    if case == "unfinished":
        write_run(folder, "ablation", "pocket", ablation_rows, samples=4)
        (folder / "results.parquet").unlink()
    with pytest.raises(InputError, match=r"expected a run directory|is not finished"):
        write_report(folder)
    assert not (folder / "report.html").exists()


def test_report_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path, "lens", "pocket", lambda s, r: lens_rows(s, r, 0.5), samples=4)
    assert main(["report", str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == f"report: {tmp_path / 'report.html'}"


def test_report_command_refuses_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(tmp_path / "none")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("error: expected a run directory")


def test_names_of_files_stay_short_and_apart() -> None:
    models = [f"small-encoder-{number}" for number in range(30)]
    names = {file_name("probe", *models, end) for end in ("layers.csv", "pairs.csv")}
    assert len(names) == 2
    assert all(len(name) <= 120 for name in names)
    assert file_name("lens", "a/b c") == "lens-a-b-c"
