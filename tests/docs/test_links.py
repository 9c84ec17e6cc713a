"""Links between pages and to files lead somewhere, and each section of the paper to its code."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from retinoscope.cli import app
from retinoscope.studies.registry import STUDIES
from scripts.source_pages import ROOT, linked_files, source_page, with_links_to_pages

DOCS = ROOT / "docs"
PAPER = DOCS / "paper.md"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
SOURCE = "../src/retinoscope/"


def anchors(page: Path) -> set[str]:
    """The headings of a page, as links name them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings)
    return {re.sub(r"[\s-]+", "-", heading) for heading in plain}


def rows(text: str) -> list[list[str]]:
    """The cells of the tables' rows."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings_that_there_are(page: Path) -> None:
    lost = []
    for name, anchor in LINK.findall(page.read_text("utf-8")):
        target = (page.parent / name).resolve() if name else page
        if not target.exists():
            lost.append(name)
        elif anchor and anchor not in anchors(target):
            lost.append(f"{name}#{anchor}")
    assert lost == []


def test_every_row_of_the_paper_has_a_command_a_page_and_code() -> None:
    found = [row for row in rows(PAPER.read_text("utf-8")) if row[0] != "in the paper"]
    assert len(found) > 20
    for what, command, page, code in found:
        assert command == "the same" or re.search(r"`retinoscope |every study", command), what
        assert page == "the same" or ".md" in page, what
        assert code == "the same" or SOURCE in code, what


def test_the_command_line_takes_the_commands_beside_the_paper() -> None:
    for command in re.findall(r"`retinoscope ([^`]+)`", PAPER.read_text("utf-8")):
        app.parse_args(
            [*shlex.split(command), "--out", "runs"], exit_on_error=False, print_error=False
        )


def test_the_code_of_each_study_is_linked_from_the_paper_and_the_paper_from_the_readme() -> None:
    text = PAPER.read_text("utf-8")
    assert [study for study in STUDIES if f"{SOURCE}studies/{study}/study.py" not in text] == []
    first_screen = "\n".join((ROOT / "README.md").read_text("utf-8").splitlines()[:25])
    assert "(docs/paper.md)" in first_screen


def test_the_built_documentation_shows_the_linked_code() -> None:
    name = "src/retinoscope/lens/_lens.py"
    assert name in linked_files(DOCS)
    assert (ROOT / name).read_text("utf-8") in source_page(name)
    assert with_links_to_pages(f"[x](../{name}), [y](lens.md)") == f"[x]({name}.md), [y](lens.md)"
