"""`HeatMap`: a number for each visual token, and for each pixel."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from ..errors import InputError
from ._draw import draw_tokens

if TYPE_CHECKING:
    import pyarrow
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Mode = Literal["bilinear", "nearest"]
_PICTURES = (".png", ".svg", ".pdf")


@dataclass(frozen=True, eq=False)
class HeatMap:
    """One method's value for each visual token of an image, for one target.

    It needs neither the run nor the model it came from, so that maps of any other origin (an
    encoder, a person) can be made, scored and drawn in the same way.

    Attributes:
        image: the original image.
        boxes: (n, 4) x0 y0 x1 y1 in pixels of `image`, NaN for a token without a location.
        values: (n,) float64, one per token, in the method's own units. If the method is signed,
            positive numbers speak for the target.
        method: name of the method, as in `METHODS`.
        target: what is explained, in words.
        settings: the method's settings and diagnostics (such as the error of an integration).
        positions: (n,) positions of the tokens in the decoder's sequence; None without a decoder.
    """

    image: Image.Image = field(repr=False)
    boxes: Float[np.ndarray, "token 4"] = field(repr=False)
    values: Float[np.ndarray, " token"] = field(repr=False)
    method: str
    target: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    positions: Sequence[int] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        boxes, values = (np.array(given, np.float64) for given in (self.boxes, self.values))
        if values.ndim != 1 or boxes.shape != (len(values), 4):
            raise InputError(
                f"expected one box of four numbers per value, got values {values.shape} and boxes "
                f"{boxes.shape}"
            )
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            raise InputError(
                f"expected finite values, got {values[bad[0]]} at token {bad[0]}: the model's "
                "numbers overflow; use float32"
            )
        for name, array in (("boxes", boxes), ("values", values)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def placed(self) -> Bool[np.ndarray, " token"]:
        """True for each token that has a box."""
        return ~np.isnan(self.boxes[:, 0])

    @property
    def completeness(self) -> float | None:
        """The relative error of the sum of integrated gradients; None for other methods."""
        return self.settings.get("completeness")

    @property
    def covered(self) -> Bool[np.ndarray, "height width"]:
        """True for each pixel whose centre is in a token's box: the part that the model saw."""
        across, down = self._inside()
        return (down.T @ across) > 0

    def pixels(self, mode: Mode = "bilinear") -> Float[np.ndarray, "height width"]:
        """Returns the map in pixels of the original image, float64.

        "nearest": a pixel has the value of the token whose box contains its centre. "bilinear":
        weights fall off linearly in both directions from a box's centre, to 0 at one box's width
        and height, which on a grid is bilinear interpolation. Where boxes of several tiles overlap,
        their (weighted) mean. A pixel outside all boxes is 0: the model has seen nothing of it.

        Raises:
            InputError: an unknown mode, or no token has a location in the image.
        """
        if mode not in ("bilinear", "nearest"):
            raise InputError(f"expected mode 'bilinear' or 'nearest', got {mode!r}")
        if not self.placed.any():
            raise InputError(
                "expected visual tokens with a place in the image, got none: they are learned "
                "queries or the like; read `values`"
            )
        across, down = inside = self._inside()
        if mode == "bilinear":
            across, down = self._tents()
        values = self.values[self.placed]
        weights = down.T @ across
        total = (down.T * values) @ across
        seen = (inside[1].T @ inside[0]) > 0 if mode == "bilinear" else weights > 0
        return np.where(seen & (weights > 0), total / np.where(weights > 0, weights, 1.0), 0.0)

    def _inside(self) -> tuple[Float[np.ndarray, "token width"], Float[np.ndarray, "token height"]]:
        """Returns 1 where the centre of a column (row) of pixels is between a box's edges."""
        x0, y0, x1, y1 = self.boxes[self.placed].T[..., None]
        columns, rows = (np.arange(size) + 0.5 for size in self.image.size)
        across, down = (columns >= x0) & (columns < x1), (rows >= y0) & (rows < y1)
        return across.astype(np.float64), down.astype(np.float64)

    def _tents(self) -> tuple[Float[np.ndarray, "token width"], Float[np.ndarray, "token height"]]:
        """Returns weights that fall from 1 at a box's centre to 0 at one box's size from it."""
        x0, y0, x1, y1 = self.boxes[self.placed].T[..., None]
        columns, rows = (np.arange(size) + 0.5 for size in self.image.size)
        return (
            np.maximum(1 - np.abs(columns - (x0 + x1) / 2) / (x1 - x0), 0),
            np.maximum(1 - np.abs(rows - (y0 + y1) / 2) / (y1 - y0), 0),
        )

    def to_frame(self) -> pyarrow.Table:
        """Returns a table with one row per token.

        Columns: index (among the image's visual tokens), position (in the decoder's sequence; null
        without one), x0, y0, x1, y1 (null where unplaced), value. The table's metadata has the
        method, the target, the settings and the image's size.
        """
        import pyarrow as pa

        unplaced = ~self.placed
        places = self.positions or [None] * len(self)
        columns = {
            "index": pa.array(range(len(self)), pa.int64()),
            "position": pa.array([None if p is None else int(p) for p in places], pa.int64()),
        }
        for name, edge in zip(("x0", "y0", "x1", "y1"), self.boxes.T, strict=True):
            columns[name] = pa.array(edge, pa.float64(), mask=unplaced)
        table = pa.table(columns | {"value": pa.array(self.values, pa.float64())})
        facts = {
            "method": self.method,
            "target": self.target,
            "settings": dict(self.settings),
            "size": list(self.image.size),
        }
        return table.replace_schema_metadata({"retinoscope": json.dumps(facts, default=str)})

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes `to_frame` (.parquet) or the picture (.png, .svg, .pdf); returns the path.

        Raises:
            InputError: another ending, or the file cannot be written.
        """
        from pyarrow import parquet

        goal = Path(path)
        if goal.suffix not in (".parquet", *_PICTURES):
            raise InputError(
                "expected a file name that ends in .parquet (numbers) or "
                f"{', '.join(_PICTURES)} (a picture), got {goal.name!r}"
            )
        try:
            if goal.suffix == ".parquet":
                parquet.write_table(self.to_frame(), goal)
            else:
                self.plot().savefig(goal)
        except OSError as error:
            raise InputError(
                f"{goal}: cannot be written ({error}): choose another place"
            ) from error
        return goal

    def plot(self, ax: Axes | None = None) -> Figure:
        """Draws the values over the image: red above 0, blue below, white at 0.

        Raises:
            InputError: no token has a location in the image.
        """
        drawn = draw_tokens(self.image, self.boxes, self.values, ax)
        drawn.bar.set_label(self.method)
        drawn.axes.set_title(self.target, fontsize="small")
        return drawn.figure
