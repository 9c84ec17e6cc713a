"""Pictures of one object in the tokens of each interface: which change, which are said to be its.

A token with a box is drawn on the image; queries are drawn as the cells of a square.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ...report.blocks import Figure
from ...report.scene_picture import WIDTH, Scene
from ...report.style import BLUE, INK, MUTED, ORANGE, PAPER
from ...store import Json
from .._sets import Indices, plain_boxes
from .options import TokenSource

if TYPE_CHECKING:
    from ...engine import Run
    from .audit import ObjectAudit

_GAP, _HEAD = 16.0, 26.0
_SIDE = (WIDTH - _GAP) / 2


def token_facts(
    name: str, run: Run, audit: ObjectAudit, sets: Mapping[TokenSource, Indices]
) -> dict[str, Json]:
    """Returns what a picture of one interface needs: a number for each token, and where it lies."""
    declared = audit.declared
    return {
        "name": name,
        "auc": cast("float | None", audit.columns["auc"]),
        "declared_by": audit.by,
        "boxes": cast("Json", plain_boxes(run.image.boxes)),
        "change": _rounded(audit.change),
        "declared": None if declared is None else _rounded(declared),
        "sets": {source: list(tokens) for source, tokens in sets.items()},
    }


def outline_of(mask: np.ndarray) -> list[list[int]]:
    """Returns the border of a mask as lines x0, y0, x1, y1 between its pixels."""
    lines = []
    for flipped, pixels in ((False, mask), (True, mask.T)):
        padded = np.pad(pixels, 1).astype(np.int8)
        for row, edges in enumerate(np.diff(padded, axis=0)[:, 1:-1]):
            starts = np.flatnonzero(np.diff(np.pad(edges, 1)) != 0)
            for start, stop in pairwise(starts):
                if edges[start]:
                    line = [int(start), row, int(stop), row]
                    lines.append([line[1], line[0], line[3], line[2]] if flipped else line)
    return lines


def _rounded(values: np.ndarray) -> list[Json]:
    return [round(float(value), 5) for value in values]


def tokens_figures(scene: Scene, name: str) -> tuple[Figure, ...]:
    """Draws the object on its image, then its tokens by each interface."""
    facts = cast("Sequence[dict[str, Any]]", scene.facts.get("interfaces") or ())
    return (_whole(scene, name), *(_tokens(scene, one, f"{name}-{one['name']}") for one in facts))


def _whole(scene: Scene, name: str) -> Figure:
    return Figure(
        name=f"{name}-object",
        svg=scene.document(_outline(scene, scene.scale)),
        alt=f"Image {scene.sample} with the outline of the {scene.object_name}.",
        caption=f"The {scene.object_name}: the pixels that differ where it is left out.",
        wide=False,
    )


def _tokens(scene: Scene, facts: Mapping[str, Any], name: str) -> Figure:
    panels = [("changes without it", facts["change"], facts["sets"].get("changed"))]
    if facts["declared"] is not None:
        panels.append(("said to come from it", facts["declared"], facts["sets"].get("declared")))
    placed = any(None not in box for box in facts["boxes"])
    ratio = scene.height / scene.width
    height = _SIDE * (ratio if placed else 1.0)
    parts = []
    for number, (title, values, chosen) in enumerate(panels):
        x = number * (_SIDE + _GAP)
        inside = _on_image(scene, facts, values, chosen) if placed else _cells(values, chosen)
        parts.append(
            f'<g transform="translate({x:.2f} 0)"><text x="0" y="17" '
            f'style="font-size:15px;font-family:sans-serif;fill:{INK}">{title}</text>'
            f'<g transform="translate(0 {_HEAD:g})">{inside}</g></g>'
        )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {height + _HEAD:.2f}" '
        f'width="{WIDTH:g}" height="{height + _HEAD:.2f}">{"".join(parts)}</svg>'
    )
    auc = facts["auc"]
    caption = f"{facts['name']}, {len(facts['change'])} tokens"
    caption += "." if auc is None else f": AUC {auc:.2f}."
    return Figure(
        name=name,
        svg=svg,
        alt=f"Tokens of {facts['name']} that change without the {scene.object_name} of image "
        f"{scene.sample}, and those said to come from it. {caption}",
        caption=caption,
        wide=False,
    )


def _on_image(
    scene: Scene, facts: Mapping[str, Any], values: Sequence[float], chosen: Sequence[int] | None
) -> str:
    scale = _SIDE / scene.width
    boxes = [None if None in box else tuple(scale * edge for edge in box) for box in facts["boxes"]]
    picture = (
        f'<image href="{scene.data}" x="0" y="0" width="{_SIDE:g}" '
        f'height="{scene.height * scale:.2f}" preserveAspectRatio="none"/>'
        f'<rect x="0" y="0" width="{_SIDE:g}" height="{scene.height * scale:.2f}" '
        f'style="fill:{MUTED};fill-opacity:.35"/>'
    )
    return picture + _shaded(boxes, values, chosen) + _outline(scene, scale)


def _cells(values: Sequence[float], chosen: Sequence[int] | None) -> str:
    columns = math.ceil(math.sqrt(len(values)))
    side = _SIDE / columns
    boxes = []
    for token in range(len(values)):
        row, column = divmod(token, columns)
        boxes.append((column * side, row * side, (column + 1) * side, (row + 1) * side))
    return _shaded(boxes, values, chosen, f"stroke:{MUTED};stroke-width:.8")


def _shaded(
    boxes: Sequence[Sequence[float] | None],
    values: Sequence[float],
    chosen: Sequence[int] | None,
    border: str = "stroke:none",
) -> str:
    """Cells as dark as their value, the largest black; those of the set with an orange frame."""
    most = max(values, default=0.0) or 1.0
    shapes, frames = [], []
    for token, (box, value) in enumerate(zip(boxes, values, strict=True)):
        if box is None:
            continue
        x0, y0, x1, y1 = box
        place = f'x="{x0:.2f}" y="{y0:.2f}" width="{x1 - x0:.2f}" height="{y1 - y0:.2f}"'
        style = f"fill:{BLUE};fill-opacity:{0.92 * value / most:.2f};{border}"
        shapes.append(f'<rect {place} style="{style}"/>')
        if token in (chosen or ()):
            style = f"fill:none;stroke:{ORANGE};stroke-width:2"
            frames.append(f'<rect {place} style="{style}"/>')
    return "".join(shapes + frames)


def _outline(scene: Scene, scale: float) -> str:
    lines = cast("Sequence[Sequence[float]]", scene.facts.get("outline") or ())
    path = "".join(
        f"M{x0 * scale:.1f} {y0 * scale:.1f}L{x1 * scale:.1f} {y1 * scale:.1f}"
        for x0, y0, x1, y1 in lines
    )
    return (
        f'<path d="{path}" style="fill:none;stroke:{INK};stroke-width:3.2;stroke-opacity:.55"/>'
        f'<path d="{path}" style="fill:none;stroke:{PAPER};stroke-width:1.6"/>'
    )
