"""`Features`: an encoder's output for one image, by layer, with the place of each location."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..errors import CapabilityError, InputError, NonFiniteError


@dataclass(frozen=True, eq=False)
class Features:
    """The features of one image at n locations, which are the same in every layer.

    Attributes:
        layers: name of the layer -> (n, d) float32; d may differ between layers. Class tokens,
            registers and separators are left out.
        boxes: (n, 4) x0 y0 x1 y1 in pixels of the original image; NaN for locations of padding.
        grid: (rows, columns) if the locations are one grid in row-major order, else None.
        size: width and height of the original image, in pixels.

    Raises:
        NonFiniteError: features that are NaN or infinite.
    """

    layers: Mapping[str, Float[np.ndarray, "location d"]]
    boxes: Float[np.ndarray, "location 4"]
    grid: tuple[int, int] | None
    size: tuple[int, int]

    def __post_init__(self) -> None:
        for name, values in self.layers.items():
            if not np.isfinite(values).all():
                raise NonFiniteError(
                    f"the features of layer {name} are not finite (NaN or infinite): if the model "
                    "computes in float16, load it in bfloat16 or float32 (dtype=), else check its "
                    "weights"
                )

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, layer: str) -> Float[np.ndarray, "location d"]:
        """One layer.

        Raises:
            InputError: a layer that these features do not have.
        """
        if layer not in self.layers:
            raise InputError(f"expected one of {', '.join(self.layers)}, got {layer!r}")
        return self.layers[layer]

    def map(self, layer: str) -> Float[np.ndarray, "row column d"]:
        """One layer as a map over the image.

        Raises:
            InputError: a layer that these features do not have.
            CapabilityError: locations that are not one grid (tiles of an image).
        """
        if self.grid is None:
            raise CapabilityError(
                "these locations are tiles, not one grid: use .boxes, which give their places"
            )
        return self[layer].reshape(*self.grid, -1)
