"""The picture of the rooms and their imports in docs/architecture.md, drawn from the code.

python -m scripts.rooms
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

from .api_reference import ROOT, SOURCE

PICTURE = ROOT / "docs" / "images" / "rooms.svg"

Graph = Mapping[str, frozenset[str]]

_WIDTH, _HEIGHT, _STEP, _MARGIN = 130, 24, 32, 10
_REACH = 30
"""How much farther an arc reaches for each row that it passes, in pixels."""


def imported(tree: ast.AST, package: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Line and dotted parts of whatever is imported, anywhere in a file of `package`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name.split(".")
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            module = base + (node.module.split(".") if node.module else [])
            for alias in node.names:
                yield node.lineno, [*module, alias.name]


def room_of(path: Path) -> str:
    """The package or module directly under retinoscope that a file belongs to."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports() -> Graph:
    """For each package the packages that its files import, also lazily or for types alone.

    The single modules at the bottom (errors, arguments, ...) are left out: nearly all import them.
    """
    rooms = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    found: dict[str, set[str]] = {room: set() for room in rooms}
    for path in SOURCE.glob("*/**/*.py"):
        package = ["retinoscope", *path.relative_to(SOURCE).parts[:-1]]
        for _, parts in imported(ast.parse(path.read_text("utf-8")), package):
            if parts[0] == "retinoscope" and len(parts) > 1 and parts[1] in rooms:
                found[room_of(path)].add(parts[1])
    return {room: frozenset(others - {room}) for room, others in found.items()}


def direct(graph: Graph) -> Graph:
    """The imports that no chain of others implies."""

    @cache
    def below(room: str) -> frozenset[str]:
        return graph[room].union(*(below(one) for one in graph[room]))

    return {
        room: frozenset(
            one for one in others if not any(one in below(other) for other in others - {one})
        )
        for room, others in graph.items()
    }


def storeys(graph: Graph) -> list[list[str]]:
    """Rooms from the top down; each lies above all that it imports.

    Raises:
        graphlib.CycleError: rooms that import one another.
    """
    height: dict[str, int] = {}
    for room in TopologicalSorter(graph).static_order():
        height[room] = max((height[one] + 1 for one in graph[room]), default=0)
    return [
        sorted(room for room in height if height[room] == level)
        for level in range(max(height.values()), -1, -1)
    ]


def picture(graph: Graph) -> str:
    """An SVG: a box for each room, and at its side an arc to each room that it imports directly."""
    rows = [room for storey in storeys(graph) for room in storey]
    middle = {room: _MARGIN + _STEP * row + _HEIGHT / 2 for row, room in enumerate(rows)}
    arrows = [(room, one) for room in rows for one in sorted(direct(graph)[room], key=rows.index)]
    longest = max(middle[one] - middle[room] for room, one in arrows)
    left = _MARGIN + _REACH * longest / _STEP / 2
    width, height = left + _WIDTH + _MARGIN, _STEP * len(rows) + _MARGIN
    arcs = [_arc(left, middle[room], middle[one]) for room, one in arrows]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
            f'width="{width:g}" height="{height:g}" font-family="system-ui, sans-serif" '
            'font-size="13" text-anchor="middle">',
            "<title>The rooms of retinoscope; an arc leads from a room down to one that it "
            "imports</title>",
            f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>',
            *arcs,
            *(_box(room, left, middle[room]) for room in rows),
            "</svg>\n",
        ]
    )


def _arc(x: float, start: float, end: float) -> str:
    # A Bézier curve reaches three quarters as far as its handles.
    away = x - (end - start) / _STEP * _REACH / 2 * 4 / 3
    return (
        f'<path d="M{x:g} {start:g}C{away:.1f} {start:g} {away:.1f} {end:g} {x - 5:g} {end:g}" '
        f'fill="none" stroke="#5b7a99" stroke-width="1.3"/>'
        f'<path d="M{x:g} {end:g}l-7 -3.5v7z" fill="#5b7a99"/>'
    )


def _box(room: str, x: float, y: float) -> str:
    return (
        f'<rect x="{x:g}" y="{y - _HEIGHT / 2:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="4" '
        f'fill="#eef3f7" stroke="#4a5661"/><text x="{x + _WIDTH / 2:g}" y="{y + 4.5:g}" '
        f'fill="#1c2329">{room}</text>'
    )


def main() -> None:
    """Writes the picture."""
    PICTURE.write_text(picture(imports()), "utf-8")
    print(PICTURE.relative_to(ROOT))


if __name__ == "__main__":
    main()
