"""The places of a tower's tokens: a grid after class tokens, verified by changing pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from ..errors import CapabilityError
from ..models import Layout
from ._features import Features

MOST_LEADING = 16
"""The most class tokens and registers before the patches."""
_TRIED = 3


def patch_tokens(hidden: Tensor, grid: tuple[int, int], what: str) -> Float[Tensor, "patch d"]:
    """Drops class tokens and registers from one image's tokens, leaving the patches.

    Args:
        hidden: (1, token, d), (token, d), or a map (1, row, column, d).
        grid: rows and columns of patches.
        what: the layer, for errors.

    Raises:
        CapabilityError: tokens that do not correspond to patches one to one.
    """
    rows, columns = grid
    shape = tuple(hidden.shape)
    if hidden.ndim == 4 and shape[0] == 1 and shape[1:3] == grid:
        hidden = hidden.flatten(1, 2)
    if hidden.ndim == 3 and shape[0] == 1:
        hidden = hidden[0]
    if hidden.ndim != 2 or not 0 <= len(hidden) - rows * columns <= MOST_LEADING:
        raise CapabilityError(
            f"{what} has tokens of shape {shape}, which do not correspond to the {rows} x "
            f"{columns} places of the image (merged patches, tiles or stages)"
        )
    return hidden[len(hidden) - rows * columns :]


def features_at(layout: Layout, seen: Mapping[str, Tensor]) -> Features:
    """The outputs of layers for one image, by name, at the patches of its layout's grid.

    Raises:
        CapabilityError: see `patch_tokens`.
    """
    assert layout.grid is not None
    return Features(
        layers={
            name: patch_tokens(hidden, layout.grid, name).float().cpu().numpy()
            for name, hidden in seen.items()
        },
        boxes=layout.boxes,
        grid=layout.grid,
        size=layout.size,
    )


def confirm_places(
    embedded: Callable[[Image.Image], Float[Tensor, "patch d"]],
    image: Image.Image,
    boxes: Float[np.ndarray, "patch 4"],
) -> None:
    """Verifies boxes on the tower: changing the pixels of a box must change its token most.

    Args:
        embedded: computes an image's tokens before any attention between them.
        image: to try it on.
        boxes: of the tokens, in pixels of `image`.

    Raises:
        CapabilityError: another token changes most.
    """
    before = embedded(image)
    placed = np.flatnonzero(~np.isnan(boxes[:, 0]))
    drawn = np.random.default_rng(0).choice(placed, min(_TRIED, len(placed)), replace=False)
    for token in drawn:
        change = (embedded(_inverted(image, boxes[token])) - before).float().norm(dim=-1)
        most = int(change.argmax())
        if most != token or not change[most] > 0:
            raise CapabilityError(
                f"changing the pixels of the box that token {token} would have changes token "
                f"{most} most, so the places of its tokens are unknown"
            )


def picture(size: tuple[int, int]) -> Image.Image:
    """A smooth random image, the same in every process."""
    small = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def _inverted(image: Image.Image, box: Float[np.ndarray, " 4"]) -> Image.Image:
    """Inverts the middle half of a box, at least one pixel."""
    x0, y0, x1, y1 = box
    left, top = int(x0 + (x1 - x0) / 4), int(y0 + (y1 - y0) / 4)
    right = max(left + 1, int(x1 - (x1 - x0) / 4))
    bottom = max(top + 1, int(y1 - (y1 - y0) / 4))
    array = np.array(image)
    inside = array[top:bottom, left:right]
    array[top:bottom, left:right] = np.where(inside < 128, 255, 0)
    return Image.fromarray(array)
