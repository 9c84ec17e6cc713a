"""Which visual tokens the released code takes for an object's, and how far that is from the truth.

The released code lays patches of floor(side / 24) pixels over the centre square of the image and
drops polygon vertices outside that square (rather than cut the polygon). Its patches drift from
the tokens towards the bottom right wherever the side is no multiple of 24.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from ..data import Object, Sample, decode_segmentation
from ..errors import CapabilityError
from ..store import write_bytes
from ..studies import DESCRIBE
from ..tokens import region_cover

if TYPE_CHECKING:
    from ..engine import VLM


def released_tokens(obj: Object, size: tuple[int, int], n: int) -> Bool[np.ndarray, "row column"]:
    """The released code's object tokens on an n x n grid.

    Args:
        obj: with polygons, or with run lengths, whose mask is cropped as it is (the released code
            cannot read those).
        size: width and height of the image in pixels.

    Source: get_mask_indices and correct_annotations_for_crop in the released code.
    """
    width, height = size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    mask = obj.mask[top : top + side, left : left + side]
    if obj.polygons:
        kept = []
        for polygon in obj.polygons:
            points = np.asarray(polygon, float).reshape(-1, 2) - [left, top]
            inside = points[((points >= 0) & (points <= side)).all(1)]
            kept += [inside.ravel().tolist()] if len(inside) >= 3 else []
        mask = decode_segmentation(kept, side, side)
    patch = side // n
    found = np.zeros((n, n), bool)
    for row, column in np.ndindex(n, n):
        y, x = row * patch, column * patch
        found[row, column] = mask[y : y + patch, x : x + patch].any()
    return found


def masks_of(vlm: VLM, samples: Sequence[Sample], file: Path) -> None:
    """Writes the released code's tokens of every object, as pixels inside the tokens' boxes.

    A file that holds those of this model and these samples is left as it is. A mask of these pixels
    selects exactly those tokens. Samples that cannot be read have none; the study leaves an error
    for them.

    Raises:
        CapabilityError: the model's visual tokens are no square grid, of which the released code
            knows nothing.
    """
    of = [vlm.fingerprint, str(getattr(samples, "fingerprint", ""))]
    if file.exists() and json.loads(file.read_bytes())["of"] == of:
        return
    marks: dict[str, list[list[list[int]]]] = {}
    ours = theirs = shared = either = 0
    for index in range(len(samples)):
        try:
            sample = samples[index]
        except Exception:
            continue
        layout = vlm.prompt(sample.image, DESCRIBE).inputs.layouts[0]
        n = 0 if layout.grid is None else layout.grid[0]
        if not n or layout.grid != (n, n) or len(layout) != n * n or layout.unplaced.any():
            raise CapabilityError(
                "the released code's choice of tokens is for a square grid over the centre of the "
                f"image; this model has {len(layout)} visual tokens in another arrangement"
            )
        if min(sample.image.size) < n:
            raise CapabilityError(
                f"the released code's patches have floor({min(sample.image.size)} / {n}) = 0 pixels"
            )
        points = []
        for obj in sample.objects:
            released = released_tokens(obj, sample.image.size, n)
            chosen = released[layout.rows, layout.columns]
            exact = region_cover(obj.mask, layout.size, layout.boxes) > 0
            points.append([_inside(box) for box in layout.boxes[chosen]])
            ours, theirs = ours + int(exact.sum()), theirs + int(chosen.sum())
            shared += int((exact & chosen).sum())
            either += int((exact | chosen).sum())
        marks[sample.id] = points
    objects = sum(len(points) for points in marks.values())
    facts = {
        "of": of,
        "marks": marks,
        "objects": objects,
        "tokens_exact": ours,
        "tokens_released": theirs,
        "shared": shared,
        "either": either,
    }
    write_bytes(file, (json.dumps(facts, sort_keys=True) + "\n").encode("utf-8"))


def _inside(box: Float[np.ndarray, " 4"]) -> list[int]:
    """A pixel that lies wholly inside a box."""
    x0, y0, x1, y1 = box.tolist()
    x, y = ceil(x0), ceil(y0)
    if x + 1 > x1 + 1e-9 or y + 1 > y1 + 1e-9:
        raise CapabilityError(
            "a visual token of this model is smaller than a pixel of the image: its tokens cannot "
            "be marked as the released code chooses them"
        )
    return [x, y]
