"""The API reference: one page for each public package, made when the documentation is built.

mkdocs calls what is here (`hooks` in mkdocs.yml). The pages are not files of the repository, so
that a package which is added, renamed or removed needs no edit.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "retinoscope"
SECTION = "API reference"
_NO_LIBRARY = ("cli",)


def pages() -> dict[str, str]:
    """The text of each page by its place under docs/."""
    rooms = sorted(path.parent for path in SOURCE.glob("*/__init__.py"))
    rooms = [room for room in rooms if room.name not in _NO_LIBRARY]
    lines = [
        f"| [`retinoscope.{room.name}`]({room.name}.md) | {summary_of(room)} |" for room in rooms
    ]
    index = "\n".join(
        [
            f"# {SECTION}",
            "",
            "Everything here is made from the docstrings. `import retinoscope as rs` offers "
            "`rs.load`, `rs.Ablate`, `rs.Knockout`, `rs.Patch`, `rs.fill`, `rs.VLM`, `rs.show` and "
            "the packages below; [errors](errors.md) are raised with one line that says what was "
            "expected, what was got and what to do.",
            "",
            "| package | |",
            "|---|---|",
            *lines,
        ]
    )
    found = {"api/index.md": index + "\n", "api/errors.md": _page(SOURCE / "errors.py")}
    return found | {f"api/{room.name}.md": _page(room) for room in rooms}


def summary_of(room: Path) -> str:
    """The first line of a package's docstring."""
    text = ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8")))
    return (text or "").partition("\n")[0]


def _page(room: Path) -> str:
    first = f"::: {_dotted(room)}\n    options: {{heading_level: 1}}"
    return "\n\n".join([first, *(f"::: {_dotted(path)}" for path in _public_parts(room))]) + "\n"


def _public_parts(folder: Path) -> list[Path]:
    """Modules and packages inside a package whose names are public."""
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    found: list[Path] = []
    for path in inside:
        if path.name.startswith(("_", ".")):
            continue
        if path.suffix == ".py":
            found.append(path)
        elif (path / "__init__.py").exists():
            found += [path, *_public_parts(path)]
    return found


def _dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)


def on_config(config: MkDocsConfig) -> None:
    """Lists the pages in the navigation."""
    names = {"Overview": "api/index.md"} | {
        Path(place).stem: place for place in pages() if place != "api/index.md"
    }
    assert config.nav is not None
    config.nav.append({SECTION: [{name: place} for name, place in names.items()]})


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Adds the pages."""
    from mkdocs.structure.files import File

    for place, text in pages().items():
        files.append(File.generated(config, place, content=text))
