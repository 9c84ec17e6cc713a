"""Does the model see the object at all, or has its image processor cropped it away?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float

from ..data import Object
from ..errors import CapabilityError, InputError
from ..tokens.released import VERTICES, centre_square, released_side, released_tokens
from ._filters import Filter, Mode, Verdict
from ._view import SampleView


@dataclass(frozen=True)
class SurvivesCrop(Filter):
    """Objects with at least one visual token left.

    Args:
        mode: "corrected" requires the box of a token to overlap the object. "paper" requires what
            the released code requires: at least three vertices of one polygon inside the centre
            square of the image (0 <= x < side); and also that one of its patches touches the area
            they enclose, without which the released code ablates nothing. Objects without polygons
            (run lengths, which the released code cannot read) are judged by the corners of their
            mask's outline. If a model's tokens do not form a square grid, the patches do not exist
            and the exact boxes are used.
    """

    mode: Mode = "corrected"

    name: ClassVar[str] = "survives-crop"
    needs_model: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.mode not in ("paper", "corrected"):
            raise InputError(f"mode must be 'corrected' or 'paper', got {self.mode!r}")

    @property
    def text(self) -> str:
        if self.mode == "corrected":
            return "at least one visual token on the object"
        return "3 vertices inside the centre square, and a patch on the object"

    def judge(self, view: SampleView, index: int) -> Verdict:
        obj, size = view.sample.objects[index], view.sample.image.size
        if self.mode == "corrected":
            tokens = len(view.tokens(index))
            return Verdict(tokens > 0, f"{tokens} of {len(view.layout)} tokens")
        inside = vertices_inside(obj, size)
        if inside < VERTICES:
            return Verdict(False, f"{inside} vertices inside")
        try:
            patches = int(released_tokens(obj, size, released_side(view.layout)).sum())
        except CapabilityError:
            patches = len(view.tokens(index))
        return Verdict(
            patches > 0, f"{inside} vertices inside, {patches} of {len(view.layout)} tokens"
        )


def vertices_inside(obj: Object, size: tuple[int, int]) -> int:
    """Returns the largest number of vertices of a polygon of `obj` inside the centre square.

    Args:
        obj: the object.
        size: width and height of the image in pixels.

    Source: correct_annotations_for_crop in the released code of Neo et al. 2024, which drops the
    vertices outside and keeps polygons of which at least three are left.
    """
    left, top, side = centre_square(size)
    outlines = [np.asarray(polygon, float).reshape(-1, 2) for polygon in obj.polygons]
    best = 0
    for points in outlines or [corners(obj.mask)]:
        moved = points - [left, top]
        best = max(best, int(((moved >= 0) & (moved < side)).all(1).sum()))
    return best


def corners(mask: Bool[np.ndarray, "height width"]) -> Float[np.ndarray, "corner 2"]:
    """Returns x, y of the corners of a mask's outline, where it turns."""
    padded = np.pad(mask, 1).astype(int)
    upper = padded[:-1, :-1], padded[:-1, 1:]
    lower = padded[1:, :-1], padded[1:, 1:]
    count = upper[0] + upper[1] + lower[0] + lower[1]
    diagonal = (count == 2) & (upper[0] == lower[1])
    y, x = np.nonzero((count % 2 == 1) | diagonal)
    return np.stack([x, y], axis=1).astype(float)
