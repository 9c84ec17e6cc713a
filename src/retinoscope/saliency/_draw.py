"""Draws a number for each visual token over the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
from jaxtyping import Float
from PIL import Image

from ..errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure


class DrawnMap(NamedTuple):
    """A drawn heat map."""

    figure: Figure
    axes: Axes
    bar: Colorbar


def draw_tokens(
    image: Image.Image,
    boxes: Float[np.ndarray, "token 4"],
    values: Float[np.ndarray, " token"],
    ax: Axes | None = None,
) -> DrawnMap:
    """Draws each token's box in the colour of its value: red above 0, blue below, white at 0.

    Args:
        image: the image.
        boxes: (n, 4) x0 y0 x1 y1 in pixels of `image`; tokens with NaN are not drawn.
        values: (n,) numbers.
        ax: where to draw; a new figure if None.

    Raises:
        InputError: no token has a box.
    """
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure

    placed = ~np.isnan(boxes[:, 0])
    if not placed.any():
        raise InputError(
            "expected visual tokens with a place in the image, got none: they are learned queries "
            "or the like; read the numbers from to_frame()"
        )
    if ax is None:
        ax = Figure(figsize=(5.6, 4.4), layout="constrained").subplots()
    # The image in grey, so that its own colours cannot be mistaken for the map's.
    ax.imshow(np.asarray(image.convert("L")), cmap="gray", extent=(0, image.width, image.height, 0))
    x0, y0, x1, y1 = boxes[placed].T
    corners = np.stack([np.stack([x0, x1, x1, x0], 1), np.stack([y0, y0, y1, y1], 1)], 2)
    most = float(np.abs(values[placed]).max()) or 1.0
    tiles = PolyCollection(list(corners), cmap="RdBu_r", alpha=0.7, linewidths=0)
    tiles.set_array(values[placed])
    tiles.set_clim(-most, most)
    ax.add_collection(tiles)
    ax.set_axis_off()
    # A SubFigure has the same methods as a Figure.
    figure = cast("Figure", ax.figure)
    return DrawnMap(figure, ax, figure.colorbar(tiles, ax=ax, shrink=0.85))
