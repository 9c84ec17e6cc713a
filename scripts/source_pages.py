"""Pages of the source files that the documentation links to, made when it is built.

A link such as `../src/retinoscope/lens/_lens.py` leads to the file where the page is read in the
repository, and to a page with its text where it is read in the built documentation.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\]\(\.\./(src/[\w./-]+)\)")


def linked_files(folder: Path) -> list[str]:
    """The source files that pages directly in `folder` link to, from the top of the repository."""
    pages = (page.read_text("utf-8") for page in folder.glob("*.md"))
    return sorted({name for text in pages for name in LINK.findall(text)})


def with_links_to_pages(text: str) -> str:
    """The text of a page with its links to source files made links to their pages."""
    return LINK.sub(r"](\1.md)", text)


def source_page(name: str) -> str:
    """The page of one source file; the search leaves it out."""
    code = (ROOT / name).read_text("utf-8")
    language = Path(name).suffix.lstrip(".")
    return f"---\nsearch:\n  exclude: true\n---\n\n# {name}\n\n~~~~{language}\n{code}~~~~\n"


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Adds the pages."""
    from mkdocs.structure.files import File

    for name in linked_files(Path(config.docs_dir)):
        files.append(File.generated(config, f"{name}.md", content=source_page(name)))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leads the links to the pages."""
    return with_links_to_pages(markdown)
