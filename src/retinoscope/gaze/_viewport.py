"""Conversion between pixels of a screen and pixels of the image shown on it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..errors import InputError


@dataclass(frozen=True)
class Viewport:
    """The image's place on the screen: image = (screen - (x0, y0)) * (scale_x, scale_y).

    Attributes:
        x0, y0: screen pixel of the image's upper left corner.
        scale_x, scale_y: image pixels per screen pixel.
    """

    x0: float = 0.0
    y0: float = 0.0
    scale_x: float = 1.0
    scale_y: float = 1.0

    def __post_init__(self) -> None:
        values = (self.x0, self.y0, self.scale_x, self.scale_y)
        if not all(map(math.isfinite, values)) or self.scale_x <= 0 or self.scale_y <= 0:
            raise InputError(
                "expected a viewport of finite numbers x0, y0 and scales above 0, got "
                f"{', '.join(map(str, values))}"
            )

    @classmethod
    def contain(cls, screen: tuple[float, float], size: tuple[int, int]) -> Viewport:
        """The viewport of an image that is scaled to fit into the screen, and centred.

        Args:
            screen, size: width and height, of the screen and of the image.
        """
        if min(screen) <= 0:
            raise InputError(f"expected a screen of some width and height, got {screen}")
        scale = max(size[0] / screen[0], size[1] / screen[1])
        corner = [(s - i / scale) / 2 for s, i in zip(screen, size, strict=True)]
        return cls(corner[0], corner[1], scale, scale)

    def to_image(
        self, points: Float[np.ndarray, "fixation xy"]
    ) -> Float[np.ndarray, "fixation xy"]:
        """Converts (n, 2) pixels of the screen to pixels of the image, which may lie outside it."""
        return (np.asarray(points, float) - (self.x0, self.y0)) * (self.scale_x, self.scale_y)

    def to_screen(
        self, points: Float[np.ndarray, "fixation xy"]
    ) -> Float[np.ndarray, "fixation xy"]:
        """Converts pixels of the image to pixels of the screen."""
        return np.asarray(points, float) / (self.scale_x, self.scale_y) + (self.x0, self.y0)


def inside(points: Float[np.ndarray, "fixation xy"], size: tuple[int, int]) -> np.ndarray:
    """(n,) True where a point lies within the image."""
    return np.asarray(((points >= 0) & (points < size)).all(1))
