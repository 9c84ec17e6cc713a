"""The code on every page runs: one namespace per page, in an empty folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
BLOCK = re.compile(r"^```python[^\n]*\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
NOT_RUN = re.compile(r"<!-- not run: needs [^>]+ -->\n\Z")


def blocks(text: str) -> list[tuple[int, str, bool]]:
    """Line of the first statement, code, and whether it runs here."""
    return [
        (
            text.count("\n", 0, match.start()) + 2,
            match.group(1),
            NOT_RUN.search(text[: match.start()]) is None,
        )
        for match in BLOCK.finditer(text)
    ]


def _run(page: Path, folder: Path) -> int:
    namespace: dict[str, object] = {"__name__": "page"}
    done = 0
    for line, code, here in blocks(page.read_text("utf-8")):
        # Blank lines in front make a traceback name the page's own line.
        compiled = compile("\n" * (line - 1) + code, str(page), "exec")
        if here:
            exec(compiled, namespace)
            done += 1
    return done


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_code_of_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not blocks(page.read_text("utf-8")):
        pytest.skip("no code")
    monkeypatch.chdir(tmp_path)
    _run(page, tmp_path)


def test_there_are_pages_and_code() -> None:
    assert {"index.md", "install.md", "first-study.md", "concepts.md", "experiments.md"} <= {
        page.name for page in PAGES
    }
    assert sum(here for page in PAGES for _, _, here in blocks(page.read_text("utf-8"))) >= 10


def test_the_reader_finds_blocks_their_lines_and_their_marks() -> None:
    text = "a\n\n```python\nx = 1\n```\n\n<!-- not run: needs COCO -->\n```python\ny\n```\n"
    assert blocks(text) == [(4, "x = 1\n", True), (9, "y\n", False)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_nothing_is_loaded_from_other_hosts(page: Path) -> None:
    """A page may link elsewhere; it shows no picture from there."""
    text = page.read_text("utf-8")
    assert not re.search(r"!\[[^\]]*\]\(https?:|<(img|script|iframe)[^>]+https?:", text)
