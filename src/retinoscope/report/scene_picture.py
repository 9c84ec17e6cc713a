"""Pictures of one image: its token grid, an object's tokens, and each token's word.

Drawn as vectors over the image, in pixels of the original image. A token is drawn as its own box,
so the picture shows the layout that the experiments used.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from xml.sax.saxutils import escape, quoteattr

from ..store import Json
from .blocks import Figure
from .style import BLUE, INK, PAPER

WIDTH = 480.0
"""Width of a picture in its own units; the page scales it."""

_OBJECT, _RING = "#0a5fa8", "#c9560a"
"""Differ from the page's blue and orange, since the background is the image, in dark mode too."""

_Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Scene:
    """An example of a study, ready to draw. `boxes` has None for unplaced tokens."""

    sample: str
    width: float
    height: float
    boxes: tuple[_Box | None, ...]
    sets: dict[str, tuple[int, ...]]
    data: str
    facts: dict[str, Json]

    @property
    def scale(self) -> float:
        return WIDTH / self.width

    @property
    def object_name(self) -> str:
        return str(self.facts.get("object") or "object")

    def rects(self, tokens: Sequence[int], style: str) -> str:
        """The boxes of `tokens` as one SVG group."""
        shapes = []
        for token in tokens:
            box = self.boxes[token] if 0 <= token < len(self.boxes) else None
            if box is None:
                continue
            x0, y0, x1, y1 = (value * self.scale for value in box)
            shapes.append(
                f'<rect x="{x0:.2f}" y="{y0:.2f}" width="{x1 - x0:.2f}" height="{y1 - y0:.2f}"/>'
            )
        return f'<g style="{style}">{"".join(shapes)}</g>'

    def outline(self, tokens: Sequence[int], style: str) -> str:
        """The outer edges of a set of tokens, as one SVG path."""
        edges: dict[tuple[float, float, float, float], int] = {}
        for token in tokens:
            box = self.boxes[token] if 0 <= token < len(self.boxes) else None
            if box is None:
                continue
            x0, y0, x1, y1 = (round(value * self.scale, 2) for value in box)
            sides = ((x0, y0, x1, y0), (x0, y1, x1, y1), (x0, y0, x0, y1), (x1, y0, x1, y1))
            for edge in sides:
                edges[edge] = edges.get(edge, 0) + 1
        lines = (f"M{x0:g} {y0:g}L{x1:g} {y1:g}" for (x0, y0, x1, y1), n in edges.items() if n == 1)
        return f'<path d="{"".join(lines)}" style="{style}"/>'

    def document(self, body: str) -> str:
        """An SVG document with `body` drawn over the image."""
        height = self.height * self.scale
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {height:.2f}" '
            f'width="{WIDTH:g}" height="{height:.2f}">'
            f'<image href="{self.data}" x="0" y="0" width="{WIDTH:g}" height="{height:.2f}" '
            f'preserveAspectRatio="none"/>{body}</svg>'
        )


def scene_of(facts: dict[str, Json], folder: Path) -> Scene | None:
    """Reads one example; None if it lacks its picture or size."""
    name, size, boxes = facts.get("image"), facts.get("size"), facts.get("boxes")
    if not isinstance(name, str) or not isinstance(size, list) or not isinstance(boxes, list):
        return None
    file = (folder / name).resolve()
    if not file.is_relative_to(folder.resolve()) or not file.is_file():
        return None
    sets = cast("dict[str, list[int]]", facts.get("sets") or {})
    return Scene(
        sample=str(facts.get("sample", "")),
        width=float(cast(float, size[0])),
        height=float(cast(float, size[1])),
        boxes=tuple(_box(box) for box in boxes),
        sets={str(key): tuple(tokens) for key, tokens in sets.items()},
        data="data:image/png;base64," + base64.b64encode(file.read_bytes()).decode("ascii"),
        facts=facts,
    )


def _box(box: object) -> _Box | None:
    if not isinstance(box, list) or len(box) != 4:
        return None
    values = [float(v) if isinstance(v, (int, float)) else float("nan") for v in box]
    return None if any(v != v for v in values) else (values[0], values[1], values[2], values[3])


def grid_figure(scene: Scene, name: str) -> Figure:
    """The image with the box of every visual token."""
    every = range(len(scene.boxes))
    body = scene.rects(every, f"fill:none;stroke:{PAPER};stroke-width:1.6;stroke-opacity:.55")
    body += scene.rects(every, f"fill:none;stroke:{INK};stroke-width:.5;stroke-opacity:.55")
    placed = sum(box is not None for box in scene.boxes)
    return Figure(
        name=f"{name}-grid",
        svg=scene.document(body),
        alt=f"Image {scene.sample} with the boxes of its {placed} visual tokens.",
        caption=f"{placed} visual tokens, each the box of the image that it came from.",
        wide=False,
    )


def tokens_figure(scene: Scene, name: str) -> Figure | None:
    """The tokens of the object and of one ring around it; None if the example has no such sets."""
    inner = scene.sets.get("object")
    if not inner:
        return None
    ring = [t for t in scene.sets.get("object + 1 ring", ()) if t not in inner]
    rest = [t for t in range(len(scene.boxes)) if t not in inner and t not in ring]
    # Other tokens are faded; hatching would hide the image, so the sets also differ by line style.
    body = scene.rects(rest, f"fill:{PAPER};fill-opacity:.62;stroke:none")
    body += scene.rects(ring, f"fill:none;stroke:{_RING};stroke-width:2;stroke-dasharray:4 3")
    body += scene.rects(inner, f"fill:{_OBJECT};fill-opacity:.16;stroke:{_OBJECT};stroke-width:2.4")
    caption = f"The {len(inner)} tokens of the {scene.object_name} (blue, solid)"
    if ring:
        caption += f" and the {len(ring)} of one ring around it (orange, dashed)"
    return Figure(
        name=f"{name}-tokens",
        svg=scene.document(body),
        alt=f"{caption}, on image {scene.sample}.",
        caption=caption + ".",
        wide=False,
    )


def words_figure(scene: Scene, name: str, layer: int, words: Sequence[str]) -> Figure:
    """The top word of every visual token at one layer.

    `scene.sets` holds the tokens of each object by its name. Words that name the object shown by
    their token are highlighted.
    """
    height = scene.height * scene.scale
    shapes = [
        f'<rect x="0" y="0" width="{WIDTH:g}" height="{height:.2f}" '
        f'style="fill:{PAPER};fill-opacity:.74"/>'
    ]
    names: dict[int, set[str]] = {}
    for object_name, tokens in scene.sets.items():
        shapes.append(scene.rects(tokens, f"fill:{BLUE};fill-opacity:.1;stroke:none"))
        for token in tokens:
            names.setdefault(token, set()).add(object_name.lower())
    hits = 0
    for token, word in enumerate(words):
        box = scene.boxes[token] if token < len(scene.boxes) else None
        if box is None:
            continue
        hit = _bare(word) in names.get(token, set())
        hits += hit
        shapes.append(_word(scene, box, word, hit))
    return Figure(
        name=f"{name}-layer-{layer}",
        svg=scene.document("".join(shapes)),
        alt=f"Image {scene.sample}, top word of each token at layer {layer}: {hits} of "
        f"{len(names)} object tokens say the name of their object.",
        caption=f"Layer {layer}: {hits} of {len(names)} object tokens say their object's name.",
        wide=False,
    )


def _bare(word: str) -> str:
    return word.strip(" ▁Ġ.,").lower()


def _word(scene: Scene, box: _Box, word: str, hit: bool) -> str:
    x0, y0, x1, y1 = (value * scene.scale for value in box)
    text = word.strip(" ▁Ġ\n\t") or "·"
    size = min((y1 - y0) * 0.36, (x1 - x0) * 0.86 / (0.6 * max(len(text), 3)))
    style = f"font-size:{size:.1f}px;text-anchor:middle;font-family:sans-serif;"
    style += f"font-weight:700;fill:{BLUE}" if hit else f"fill:{INK};fill-opacity:.8"
    return (
        f'<text x="{(x0 + x1) / 2:.1f}" y="{(y0 + y1) / 2 + size * 0.35:.1f}" '
        f"style={quoteattr(style)}>{escape(_visible(text))}</text>"
    )


def _visible(text: str) -> str:
    """Replaces control characters, which XML does not allow but vocabularies contain."""
    return "".join(c if c.isprintable() else "�" for c in text)
