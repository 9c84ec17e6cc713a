"""Does the model see the object at all, or has its image processor cropped it away?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float

from ..data import Object
from ..errors import InputError
from ._filters import Filter, Mode, Verdict
from ._view import View

VERTICES = 3


@dataclass(frozen=True)
class SurvivesCrop(Filter):
    """Objects of which at least one visual token is left.

    Args:
        mode: "paper" asks in addition for what the released code asks for: of one polygon at least
            three vertices inside the centre square of the image. Objects that have no polygons
            (run lengths, which the released code cannot read) are judged by the corners of their
            mask's outline.
    """

    mode: Mode = "corrected"

    name: ClassVar[str] = "survives-crop"
    needs_model: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.mode not in ("paper", "corrected"):
            raise InputError(f"mode must be 'corrected' or 'paper', got {self.mode!r}")

    @property
    def text(self) -> str:
        also = ", and 3 vertices inside the centre square" if self.mode == "paper" else ""
        return f"at least one visual token on the object{also}"

    def judge(self, view: View, index: int) -> Verdict:
        tokens = len(view.tokens(index))
        reason = f"{tokens} of {len(view.layout)} tokens"
        if self.mode == "corrected" or not tokens:
            return Verdict(tokens > 0, reason)
        inside = vertices_inside(view.sample.objects[index], view.sample.image.size)
        return Verdict(inside >= VERTICES, f"{reason}, {inside} vertices inside")


def vertices_inside(obj: Object, size: tuple[int, int]) -> int:
    """The most vertices of one polygon of `obj` inside the centre square of an image.

    Args:
        size: width and height of the image in pixels.

    Source: correct_annotations_for_crop in the released code of Neo et al. 2024, which drops the
    vertices outside and keeps polygons of which at least three are left.
    """
    width, height = size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    outlines = [np.asarray(polygon, float).reshape(-1, 2) for polygon in obj.polygons]
    best = 0
    for points in outlines or [corners(obj.mask)]:
        x, y = points[:, 0] - left, points[:, 1] - top
        best = max(best, int(((x >= 0) & (x <= side) & (y >= 0) & (y <= side)).sum()))
    return best


def corners(mask: Bool[np.ndarray, "height width"]) -> Float[np.ndarray, "corner 2"]:
    """x, y of the corners of a mask's outline: where it turns."""
    padded = np.pad(mask, 1).astype(int)
    upper = padded[:-1, :-1], padded[:-1, 1:]
    lower = padded[1:, :-1], padded[1:, 1:]
    count = upper[0] + upper[1] + lower[0] + lower[1]
    diagonal = (count == 2) & (upper[0] == lower[1])
    y, x = np.nonzero((count % 2 == 1) | diagonal)
    return np.stack([x, y], axis=1).astype(float)
