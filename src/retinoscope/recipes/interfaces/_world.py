"""The scenes that language model and interfaces are trained and judged on."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...data.scenes import VARIED, SceneOptions, scene, scene_layout

OPTIONS = VARIED
SIGNED = replace(VARIED, signs=0.5)
"""The same with a sign on every second scene, for what reads them."""
TRAIN_SEED = 2410_0018
"""Scenes of this seed are the training set; every other seed is held out."""
HELD_OUT_SEED = 1900
"""Scenes of this seed judge what was trained."""
TRIAL_SEED = 1901
"""Scenes of this seed judge settings that are tried before the arms are trained."""
SMALL_RADIUS = 12.0
"""Largest radius of a small object in pixels; the others begin at 17."""


@dataclass(frozen=True)
class ObjectSize:
    """Visible pixels of an object, and its radius in pixels."""

    area: int
    radius: float


def object_sizes(
    n: int, seed: int = HELD_OUT_SEED, options: SceneOptions = OPTIONS
) -> list[tuple[ObjectSize, ...]]:
    """The sizes of the objects of scenes 0..n-1, in the order of `Sample.objects`."""
    return [
        tuple(
            ObjectSize(drawn.area, item.radius_in_pixels)
            for drawn, item in zip(
                scene(index, seed, options).objects,
                scene_layout(index, seed, options).items,
                strict=True,
            )
        )
        for index in range(n)
    ]
