"""Collects the features that probes need from one layer in a single pass over the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ...errors import InputError
from .dense import foreground_cells, majority
from .labels import objects_of
from .sources import Layer
from .split import Split
from .tally import tally
from .truth import Located, Truth


@dataclass(frozen=True, eq=False)
class Drawn:
    """Locations of training images, half of them on objects if there are enough.

    Attributes:
        weight: (n,) restores the true proportion of object and background locations.
    """

    image: Int[np.ndarray, " n"]
    place: Int[np.ndarray, " n"]
    weight: Float[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class Plan:
    """The locations used on one grid: sampled ones for training, whole images otherwise.

    Attributes:
        drawn: one per probe seed.
        val: validation images, one array per probe seed.
        test: test images.
    """

    drawn: tuple[Drawn, ...]
    val: tuple[Int[np.ndarray, " image"], ...]
    test: Int[np.ndarray, " image"]

    @property
    def whole(self) -> set[int]:
        """Images whose locations are all needed."""
        return {int(image) for images in (*self.val, self.test) for image in images}


def plan_of(
    located: Mapping[int, Located],
    splits: Sequence[Split],
    locations: int,
    dense_images: int,
    seed: int,
) -> Plan:
    """Draws the locations of a grid, the same for all encoders that share it.

    Args:
        locations: limit on training locations.
        dense_images: limit on test images; a quarter as many serve as validation images.
    """
    drawn: list[Drawn] = []
    for number, split in enumerate(splits):
        rng = np.random.default_rng([seed, 19, number])
        grids = [located[int(i)] for i in split.train]
        image = np.repeat(split.train, [on.n for on in grids])
        place = np.concatenate([np.arange(on.n) for on in grids])
        label = np.concatenate([majority(foreground_cells(0, on), on.n, 2) for on in grids])
        chosen: list[np.ndarray] = []
        weight: list[np.ndarray] = []
        groups = [np.flatnonzero(label == value) for value in (0, 1)]
        sizes = [min(len(groups[1]), locations // 2)]
        sizes.insert(0, min(len(groups[0]), locations - sizes[0]))
        for group, size in zip(groups, sizes, strict=True):
            if size:
                chosen.append(rng.choice(group, size, replace=False))
                weight.append(np.full(size, len(group) / size))
        if not chosen:
            raise InputError("expected locations in the training images, got none")
        which = np.concatenate(chosen)
        order = np.argsort(which)
        scale = np.concatenate(weight)
        drawn.append(Drawn(image[which][order], place[which][order], (scale / scale.mean())[order]))
    few = max(2, dense_images // 4)
    return Plan(
        tuple(drawn),
        tuple(split.val[:few] for split in splits),
        splits[0].test[:dense_images],
    )


@dataclass(frozen=True, eq=False)
class Gathered:
    """Features of one layer, all of the same width.

    Attributes:
        pooled: (objects, width) mean over locations, weighted by the object's pixels in each; NaN
            for an object that lies in no location.
        mean: (images, width) mean over all locations of an image.
        whole: image -> (n, width).
        drawn: (n, width) per probe seed.
        width: before projection.
    """

    pooled: Float[np.ndarray, "object width"]
    mean: Float[np.ndarray, "image width"]
    whole: Mapping[int, Float[np.ndarray, "n width"]]
    drawn: tuple[Float[np.ndarray, "n width"], ...]
    width: int

    def of(self, images: Sequence[int] | np.ndarray) -> Float[np.ndarray, "n width"]:
        """All locations of these images, concatenated."""
        return np.concatenate([self.whole[int(image)] for image in images])


def gather(
    layer: Layer,
    truths: Mapping[int, Truth],
    located: Mapping[int, Located],
    plan: Plan,
    matrix: Float[np.ndarray, "d width"] | None,
    name: str,
) -> Gathered:
    """Reads the features of every image once.

    Args:
        matrix: projection of the features; None keeps them as they are.
        name: encoder and layer, for error messages.

    Raises:
        InputError: features that are not finite, or whose number differs from the grid's.
    """
    whole_images = plan.whole
    images = sorted(truths)
    bounds = [
        (np.searchsorted(d.image, images), np.searchsorted(d.image, images, "right"))
        for d in plan.drawn
    ]
    pooled: list[np.ndarray] = []
    means: list[np.ndarray] = []
    whole: dict[int, np.ndarray] = {}
    drawn: list[list[np.ndarray]] = [[] for _ in plan.drawn]
    width = 0
    for number, image in enumerate(images):
        values = layer[image]
        on = located[image]
        if len(values) != on.n:
            raise InputError(
                f"{name}: expected {on.n} locations of {truths[image].sample}, got {len(values)}"
            )
        if not np.isfinite(values).all():
            raise InputError(f"{name}: {truths[image].sample} has features that are not finite")
        width = values.shape[1]
        if matrix is not None:
            values = values @ matrix
        shape = (len(truths[image].items), on.n)
        share = tally(shape, on.regions.label, on.regions.place, count=on.regions.count)
        total = share.sum(1, keepdims=True)
        with np.errstate(invalid="ignore"):
            pooled.append((share / total) @ values if len(share) else values[:0])
        means.append(values.mean(0))
        if image in whole_images:
            whole[image] = values
        for kept, drawn_of_seed, (first, last) in zip(drawn, plan.drawn, bounds, strict=True):
            places = drawn_of_seed.place[first[number] : last[number]]
            if len(places):
                kept.append(values[places])
    assert len(objects_of(truths)) == sum(map(len, pooled))
    return Gathered(
        np.concatenate(pooled).astype(np.float32),
        np.stack(means).astype(np.float32),
        whole,
        tuple(np.concatenate(kept) for kept in drawn),
        width,
    )
