"""Images with captions only, drawn by many processes at once."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from ._grounds import grounded_arrays
from ._scene import draw_arrays, scene_texts


def draw_pairs(
    job: tuple[int, int, int, float | None],
) -> tuple[UInt8[np.ndarray, "n size size 3"], list[str]]:
    """Draws images and captions of scenes `start` to `stop - 1` of `seed`.

    Args:
        job: start, stop, seed, and None for common scenes, or the correlation of scenes on water
            and land (see `grounded`). A single argument, so that a process pool can map it.
    """
    start, stop, seed, correlation = job
    images, captions = [], []
    for index in range(start, stop):
        if correlation is None:
            image, caption = draw_arrays(index, seed)[0], scene_texts(index, seed)[0]
        else:
            image, caption = grounded_arrays(index, seed, correlation)
        images.append(image)
        captions.append(caption)
    return np.stack(images), captions
