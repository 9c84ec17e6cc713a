"""The 24 kinds (and 8 more) and the 8 colours of the drawn world."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from . import _kinds_home as home
from . import _kinds_living as living
from . import _kinds_made as made
from . import _kinds_more as more
from ._shapes import Shape
from ._world import Ground

KINDS: tuple[str, ...] = (
    "apple", "bird", "boat", "book", "bottle", "car", "chair", "clock", "cup", "fish", "flower",
    "hat", "house", "key", "ladder", "lamp", "leaf", "moon", "mushroom", "ring", "star", "table",
    "tree", "umbrella",
)  # fmt: skip
"""Names of the kinds, in alphabetical order."""

MORE_KINDS: tuple[str, ...] = (
    "anchor", "butterfly", "cactus", "rocket", "ice cream", "snowman", "teapot", "traffic light",
)  # fmt: skip
"""Kinds drawn only with `SceneOptions(more_kinds=True)`."""

ALL_KINDS = KINDS + MORE_KINDS

AT_HOME: dict[Ground, tuple[str, ...]] = {
    "water": ("boat", "bottle", "fish", "umbrella"),
    "land": ("car", "house", "ladder", "tree"),
}
"""Kinds of a scene's target, by the ground that they go with."""

ELSEWHERE = tuple(
    number for number, kind in enumerate(ALL_KINDS) if not any(kind in AT_HOME[g] for g in AT_HOME)
)
"""Numbers of the kinds that are at home on neither ground."""

COLORS: tuple[str, ...] = (
    "red", "orange", "yellow", "green", "blue", "purple", "brown", "white",
)  # fmt: skip
"""Names of the colours."""

RGB = np.array(
    [
        (208, 36, 40), (247, 136, 24), (246, 222, 50), (44, 156, 60),
        (40, 92, 214), (148, 58, 190), (116, 70, 34), (246, 246, 244),
    ],
    dtype=np.int64,
)  # fmt: skip
"""The colours, one row each."""
NEUTRAL_RGB = (44, 44, 50)
PALE_RGB = (176, 174, 168)


_MAKERS: dict[str, Callable[[], Shape]] = {
    maker.__name__.replace("_", " "): maker
    for maker in (
        *(living.apple, living.bird, living.fish, living.flower, living.leaf, living.moon),
        *(living.mushroom, living.star, living.tree),
        *(made.boat, made.book, made.bottle, made.car, made.chair, made.clock, made.cup, made.hat),
        *(home.house, home.key, home.ladder, home.lamp, home.ring, home.table, home.umbrella),
        *(more.anchor, more.butterfly, more.cactus, more.rocket, more.ice_cream, more.snowman),
        *(more.teapot, more.traffic_light),
    )
}


@cache
def shape_of(kind: int) -> Shape:
    """The drawing of `ALL_KINDS[kind]`."""
    return _MAKERS[ALL_KINDS[kind]]()
