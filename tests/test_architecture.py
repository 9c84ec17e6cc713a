"""Imports point downwards only, and the package is light until it is used."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import retinoscope
from scripts import rooms
from scripts.rooms import imported, room_of

ROOMS = (
    "cli",
    "reporting",
    "reproduce",
    "collect",
    "viewer",
    "scale",
    "curation",
    "reading",
    "studies",
    "report",
    "recipes",
    "answers",
    "saliency",
    "encoders",
    "engine",
    "lens",
    "grouping",
    "tokens",
    "models",
    "interfaces",
    "pocket",
    "sources",
    "gaze",
    "data",
    "store",
    "stats",
    "memory",
    "device",
    "hub",
    "signals",
    "arguments",
    "naming",
    "errors",
)
"""From top to bottom; a room may import those after it."""

HEAVY = (
    "anywidget",
    "captum",
    "fastapi",
    "httpx",
    "jinja2",
    "matplotlib",
    "numpy",
    "PIL",
    "psutil",
    "pydantic",
    "polars",
    "pyarrow",
    "ray",
    "scipy",
    "sklearn",
    "timm",
    "torch",
    "transformers",
    "uvicorn",
)

SOURCE = Path(retinoscope.__file__).parent
ROOT = Path(__file__).parents[1]


def _modules() -> list[Path]:
    return [path for path in sorted(SOURCE.rglob("*.py")) if path != SOURCE / "__init__.py"]


def _package(path: Path) -> list[str]:
    """Dotted parts of the package that `path` lies in."""
    return ["retinoscope", *path.relative_to(SOURCE).parts[:-1]]


def _uses(path: Path) -> Iterator[tuple[int, list[str]]]:
    tree = ast.parse(path.read_text("utf-8"))
    for line, parts in imported(tree, _package(path)):
        if parts[0] == "retinoscope" and len(parts) > 1 and parts[1] in ROOMS:
            yield line, parts


def test_every_package_is_a_known_room() -> None:
    found = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert found <= set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_downwards(room: str) -> None:
    wrong = [
        f"{path.relative_to(SOURCE)}:{line} imports {'.'.join(parts)}"
        for path in _modules()
        if room_of(path) == room
        for line, parts in _uses(path)
        if ROOMS.index(parts[1]) < ROOMS.index(room)
    ]
    assert wrong == []


def test_rooms_use_only_the_public_names_of_others() -> None:
    wrong = [
        f"{path.relative_to(SOURCE)}:{line} imports {'.'.join(parts)}"
        for path in _modules()
        for line, parts in _uses(path)
        if parts[1] != room_of(path) and any(part.startswith("_") for part in parts[2:])
    ]
    assert wrong == []


def _files() -> dict[str, set[str]]:
    """Dotted names of files, and of those that each imports, also lazily or for types alone."""
    paths = {
        ".".join([*_package(path), path.stem]).removesuffix(".__init__"): path
        for path in [SOURCE / "__init__.py", *_modules()]
    }

    def file_of(parts: list[str]) -> str | None:
        whole, package = ".".join(parts), ".".join(parts[:-1])
        return whole if whole in paths else package if package in paths else None

    return {
        name: {
            found
            for _, parts in imported(ast.parse(path.read_text("utf-8")), _package(path))
            if (found := file_of(parts)) not in (None, name)
        }
        for name, path in paths.items()
    }


def _circle(files: Mapping[str, Set[str]]) -> str:
    """Files that import one another in a circle, each the next; empty where none do."""
    try:
        TopologicalSorter(files).prepare()
    except CycleError as error:
        return " imports ".join(reversed(error.args[1]))
    return ""


def test_no_files_import_one_another_in_a_circle() -> None:
    assert _circle(_files()) == ""


def test_a_circle_is_found_and_named() -> None:
    files = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": set()}
    assert _circle(files) in {
        "a imports b imports c imports a",
        "b imports c imports a imports b",
        "c imports a imports b imports c",
    }
    assert _circle(files | {"c": {"d"}}) == ""


def test_the_import_reader_sees_lazy_and_relative_imports() -> None:
    text = "def f():\n    from ..store import x\n    import retinoscope.cli as c\n"
    found = [parts for _, parts in imported(ast.parse(text), ["retinoscope", "data"])]
    assert ["retinoscope", "store", "x"] in found
    assert ["retinoscope", "cli"] in found


def test_the_picture_of_the_rooms_is_up_to_date() -> None:
    assert rooms.PICTURE.read_text("utf-8") == rooms.picture(rooms.imports()), (
        "python -m scripts.rooms draws it again"
    )


def test_the_architecture_page_names_every_room() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    assert set(rooms.imports()) <= set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))


def test_files_that_a_page_names_exist() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    lost = [
        f"{page.relative_to(ROOT)}: {name}"
        for page in pages
        for name in re.findall(r"`((?:src|tests|scripts|benchmarks)/[\w./-]*)`", page.read_text())
        if not (ROOT / name).exists()
    ]
    assert lost == []


def _loaded(code: str) -> set[str]:
    """Modules loaded by `code` in a fresh interpreter."""
    tail = "; import sys, json; sys.stderr.write(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code + tail], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stderr))


@pytest.mark.parametrize(
    ("code", "most"),
    [
        ("import retinoscope", 30),
        ("from retinoscope.cli import main; main(['--help'])", 400),
        ("from retinoscope.cli import main; main(['ablate', '--help'])", 400),
    ],
)
def test_help_loads_nothing_heavy(code: str, most: int) -> None:
    loaded = _loaded(code)
    assert {name.split(".")[0] for name in loaded} & set(HEAVY) == set()
    extra = loaded - _loaded("pass")
    assert len(extra) <= most, f"{len(extra)} modules"


def test_no_two_files_of_tests_have_one_name() -> None:
    """pytest imports them by their names alone and stops at the second; so do shared helpers."""
    names = Counter(path.name for path in Path(__file__).parent.rglob("*.py"))
    twice = {name for name, n in names.items() if n > 1}
    assert twice <= {"__init__.py", "conftest.py"}
