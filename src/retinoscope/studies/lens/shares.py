"""The share of each object's tokens that name it, by layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float

COLUMNS = ("sample", "item", "cover", "layer", "n_tokens", "strict", "lenient")
"""The columns that `ObjectShares.of` reads, of rows of one group, weights and cover."""


@dataclass(frozen=True)
class ObjectShares:
    """Shares (objects, layers) of objects, which are pairs of an image and a number within it."""

    objects: tuple[tuple[str, int], ...]
    shares: Float[np.ndarray, "object layer"]

    @classmethod
    def of(cls, rows: pl.DataFrame, measure: str, n_layers: int) -> ObjectShares:
        """Computes shares of objects in the order of their first rows; a missing layer has 0."""
        keys = ["sample", "item"]
        objects = rows.select(keys).unique(maintain_order=True)
        cells = rows.join(objects.with_row_index("object"), on=keys, maintain_order="left")
        shares = np.zeros((objects.height, n_layers))
        share = cells[measure].fill_null(0) / cells["n_tokens"]
        shares[cells["object"].to_numpy(), cells["layer"].to_numpy()] = share.to_numpy()
        return cls(tuple(objects.rows()), shares)

    @property
    def images(self) -> list[str]:
        """The image of each object."""
        return [image for image, _ in self.objects]


def number_of_layers(rows: pl.DataFrame) -> int:
    """Returns the number of layers in these rows: one more than the last."""
    return 1 + int(rows["layer"].to_numpy().max(initial=0))
