"""The code on every page runs: one namespace per page, in an empty folder."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from retinoscope.cli import app

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
BLOCK = re.compile(r"^```python[^\n]*\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
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


def commands(text: str) -> Iterator[list[str]]:
    """Every `retinoscope ...` of the blocks of shell lines, without the name."""
    # All blocks are read, or the end of one would begin another.
    shell = (code for language, code in FENCE.findall(text) if language in ("", "bash", "sh"))
    for code in shell:
        for line in code.replace("\\\n", " ").splitlines():
            if "retinoscope" not in line:
                continue
            for part in line.split("&&"):
                words = shlex.split(part, comments=True)
                if words[:1] == ["retinoscope"]:
                    yield ["pocket" if word == "$model" else word for word in words[1:]]


def _run(page: Path, namespace: dict[str, object]) -> int:
    done = 0
    for line, code, here in blocks(page.read_text("utf-8")):
        # Blank lines in front make a traceback name the page's own line.
        compiled = compile("\n" * (line - 1) + code, str(page), "exec", dont_inherit=True)
        if here:
            exec(compiled, namespace)
            done += 1
    return done


@pytest.mark.filterwarnings("ignore::retinoscope.errors.IntegrationWarning")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_code_of_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not blocks(page.read_text("utf-8")):
        pytest.skip("no code")
    monkeypatch.chdir(tmp_path)
    # A class looks for its module, as one does of a script or a notebook.
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    _run(page, vars(module))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_command_line_takes_the_commands_of_a_page(page: Path) -> None:
    for words in commands(page.read_text("utf-8")):
        # Raises for an unknown command or option, a wrong value, or one that is missing.
        app.parse_args(words, exit_on_error=False, print_error=False)


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
    shell = "```bash\n# a\nretinoscope view x && retinoscope lens $model \\\n  y  # b\n```\n"
    assert list(commands(shell)) == [["view", "x"], ["lens", "pocket", "y"]]
