"""Of each object, the share of its tokens that say its name, by layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float

COLUMNS = ("sample", "item", "cover", "layer", "n_tokens", "strict", "lenient")
"""What `ObjectShares.of` reads of rows of one group, weights and cover."""


@dataclass(frozen=True)
class ObjectShares:
    """`objects` are pairs of an image and a number within it; `shares` is (objects, layers)."""

    objects: tuple[tuple[str, int], ...]
    shares: Float[np.ndarray, "object layer"]

    @classmethod
    def of(cls, rows: pl.DataFrame, measure: str, n_layers: int) -> ObjectShares:
        """Objects in the order of their first rows; a layer without a row has share 0."""
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
    """Layers that these rows can have: one more than the last."""
    return 1 + int(rows["layer"].to_numpy().max(initial=0))
