"""Images cut into a grid of tiles of equal size, followed by the whole image."""

from __future__ import annotations

from collections.abc import Sequence

from ._layout import Frame, Layout, grid_layout, joined_layout


def tiled_layout(
    size: tuple[int, int],
    tiles: tuple[int, int],
    grids: Sequence[tuple[int, int]],
    side: float,
) -> Layout:
    """The tiles row by row, followed by the whole image if there is one more grid.

    Each tile is a crop of the resized image without padding, which the tiles cover exactly.

    Args:
        size: width and height of the original image.
        tiles: rows and columns of tiles; (1, 1) for an image that stays whole.
        grids: rows and columns of visual tokens of each tile, all equal except for the whole image.
        side: side of a visual token in processed pixels.
    """
    width, height = size
    n_rows, n_columns = tiles
    n_tiles = n_rows * n_columns
    parts: list[Layout] = []
    for number, (rows, columns) in enumerate(grids):
        across, down = (1, 1) if number == n_tiles else (n_columns, n_rows)
        row, column = (0, 0) if number == n_tiles else divmod(number, n_columns)
        x, y = columns * side, rows * side
        frame = Frame(x * across / width, y * down / height, x * column, y * row)
        parts.append(grid_layout(size, frame, (rows, columns), side))
    return parts[0] if len(parts) == 1 else joined_layout(parts)
