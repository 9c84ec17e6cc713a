"""Scenes on water or land, with objects that match the background or do not.

Like Waterbirds (Sagawa et al. 2020) for birds, but drawn: since masks are known, the same objects
can be put on the other ground without changing anything else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np
from jaxtyping import UInt8

from ...arguments import nth, whole
from ...errors import InputError
from .._sample import Sample
from . import _text
from ._draws import GROUND, PIXELS, VERSION, Draws
from ._kinds import AT_HOME, ELSEWHERE, KINDS
from ._layout import check_key, layout
from ._scene import draw, put_together
from ._world import GROUNDS, Ground, SceneLayout, SceneOptions

_OPTIONS = SceneOptions(min_objects=1, max_objects=3, signs=0.0)
_OTHERS = tuple(number for number in ELSEWHERE if number < len(KINDS))


@dataclass(frozen=True)
class Grounded(Sequence[Sample]):
    """Scenes `start` to `start + n - 1` of `seed`; made by `data.grounded`.

    One object, `objects[meta["target"]]`, is of a kind in `AT_HOME`; up to two others are of kinds
    that occur equally often on both grounds. `meta["side"]` is the ground that the target goes
    with, `meta["ground"]` the one that is drawn. Captions name the objects but never the ground.
    """

    n: int
    seed: int = 0
    correlation: float | None = 0.95
    start: int = 0
    swapped: bool = False

    def __post_init__(self) -> None:
        """Raises InputError for a negative `n`, a number outside 32 bits, or an invalid share."""
        whole(self.n, "a number of scenes", 0)
        whole(self.start, "start", 0)
        if self.correlation is not None and not 0 <= self.correlation <= 1:
            raise InputError(f"expected a correlation from 0 to 1, got {self.correlation}")
        check_key(self.start + max(self.n - 1, 0), self.seed)

    @property
    def fingerprint(self) -> str:
        """The same for the same scenes, different for different ones; a SHA-256 in hexadecimal."""
        return hashlib.sha256(f"grounded v{VERSION} {self}".encode()).hexdigest()

    def __len__(self) -> int:
        return self.n

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Grounded: ...
    def __getitem__(self, index: int | slice) -> Sample | Grounded:
        if isinstance(index, slice):
            first, stop, step = index.indices(self.n)
            if step != 1:
                raise InputError(f"expected a slice with step 1, got {step}")
            return replace(self, n=max(0, stop - first), start=self.start + first)
        return self._draw(self.start + nth(index, self.n, "scene"))

    def __iter__(self) -> Iterator[Sample]:
        return (self[place] for place in range(self.n))

    def on_other_ground(self) -> Grounded:
        """The same objects on the other ground, pixel for pixel except for blended edges."""
        return replace(self, swapped=not self.swapped)

    def _draw(self, index: int) -> Sample:
        content, target, side, ground = _content(index, self.seed, self.correlation)
        if self.swapped:
            ground = GROUNDS[1 - GROUNDS.index(ground)]
            content = replace(content, ground=ground)
        image, painted = draw(content, Draws(self.seed, index, PIXELS))
        meta = {
            "source": "grounded",
            "seed": self.seed,
            "index": index,
            "version": VERSION,
            "side": side,
            "ground": ground,
            "target": target,
        }
        swapped = "-swapped" if self.swapped else ""
        return put_together(
            content, image, painted, f"grounded-{self.seed}-{index:06d}{swapped}", meta
        )


def grounded(n: int, seed: int = 0, *, correlation: float | None = 0.95) -> Grounded:
    """`n` scenes on water or land; see `Grounded`.

    Args:
        n: the number of scenes.
        seed: of the set.
        correlation: the probability that a scene's ground is the one that its target goes with;
            None for a balanced set, in which scene k belongs to group k % 4 of (side, ground).

    Raises:
        InputError: a number out of range.
    """
    return Grounded(n, seed, correlation)


def grounded_arrays(
    index: int, seed: int, correlation: float | None
) -> tuple[UInt8[np.ndarray, "size size 3"], str]:
    """Only image and caption of one scene, for training.

    Raises:
        InputError: `index` or `seed` is negative or needs more than 32 bits.
    """
    content, *_ = _content(index, seed, correlation)
    image, _ = draw(content, Draws(seed, index, PIXELS))
    return image, _text.caption(content)


def _content(
    index: int, seed: int, correlation: float | None
) -> tuple[SceneLayout, int, Ground, Ground]:
    """The layout, the index of its target, the target's side, and the ground."""
    check_key(index, seed)
    draws = Draws(seed, index, GROUND)
    plain = layout(index, seed, _OPTIONS)
    if correlation is None:
        side, ground = GROUNDS[index % 4 // 2], GROUNDS[index % 2]
    else:
        side = GROUNDS[draws.below(2)]
        other = not draws.chance(correlation)
        ground = GROUNDS[GROUNDS.index(side) ^ other]
    target = draws.below(len(plain.items))
    home = AT_HOME[side]
    kind = KINDS.index(home[draws.below(len(home))])
    others = draws.distinct(len(plain.items), _OTHERS)
    items = tuple(
        replace(item, kind=kind if place == target else others[place])
        for place, item in enumerate(plain.items)
    )
    return replace(plain, items=items, ground=ground, target=target), target, side, ground
