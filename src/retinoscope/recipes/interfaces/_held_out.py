"""Held-out scenes with all that the gate's probes ask for."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Bool, Float, Int, Real, UInt8

from ...data import Sample
from ...data.scenes import COLORS, KINDS, Scenes, scene_layout
from .._processes import spread
from ..pocket import Report
from ._world import OPTIONS, SMALL_RADIUS

GATE_SEED = 1919
_CELLS = 3
_COVERED = 0.1
_PER_SCENE = 6
"""The first attributes of `HeldOut` have a row per scene, the others one per object."""
_CHUNK = 200


@dataclass(frozen=True)
class HeldOut:
    """`n` scenes and their truth; `scene` and what follows have a row per object.

    Attributes:
        images: RGB.
        kinds: which of `KINDS` are there.
        colors: which of `COLORS` are there.
        cells: which colours are in each cell of 3 x 3, by the objects' centres.
        quadrants: mean red, green and blue (0..1) of each quarter of each patch.
        covered: patches of which objects cover at least a tenth.
        scene: the object's scene.
        patch: the patch that holds the object's centre (the centroid of its visible pixels).
        offset: the centre's place relative to that patch's centre, x and y in pixels.
        kind, color: indices in `KINDS` and `COLORS`.
        small: whether its radius is at most `SMALL_RADIUS`.
    """

    images: UInt8[np.ndarray, "n side side 3"]
    kinds: Bool[np.ndarray, "n kind"]
    colors: Bool[np.ndarray, "n color"]
    cells: Bool[np.ndarray, "n cell color"]
    quadrants: Float[np.ndarray, "n patch 12"]
    covered: Bool[np.ndarray, "n patch"]
    scene: Int[np.ndarray, " object"]
    patch: Int[np.ndarray, " object"]
    offset: Float[np.ndarray, "object 2"]
    kind: Int[np.ndarray, " object"]
    color: Int[np.ndarray, " object"]
    small: Bool[np.ndarray, " object"]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def counts(self) -> Int[np.ndarray, " n"]:
        """The number of objects of each scene."""
        return np.bincount(self.scene, minlength=len(self))

    def first(self, n: int) -> HeldOut:
        """Returns the first `n` scenes."""
        known = self.scene < n
        return HeldOut(
            *(getattr(self, field.name)[:n] for field in fields(self)[:_PER_SCENE]),
            *(getattr(self, field.name)[known] for field in fields(self)[_PER_SCENE:]),
        )


def draw_held_out(n: int, patch: int, report: Report) -> HeldOut:
    """Draws scenes 0..n-1 of `GATE_SEED` on all processors; `patch` is its side in pixels."""
    jobs = [(start, min(n, start + _CHUNK), patch) for start in range(0, n, _CHUNK)]
    chunks: list[HeldOut] = []
    with spread(_draw_chunk, jobs) as drawn:
        for (start, stop, _), chunk in zip(jobs, drawn, strict=True):
            chunks.append(replace(chunk, scene=chunk.scene + start))
            report("held-out scenes", stop, n, float("nan"))
    names = [field.name for field in fields(HeldOut)]
    return HeldOut(*(np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in names))


def _draw_chunk(job: tuple[int, int, int]) -> HeldOut:
    start, stop, patch = job
    samples = list(Scenes(stop - start, GATE_SEED, OPTIONS, start))
    images = np.stack([np.asarray(sample.image) for sample in samples])
    n, side = len(images), images.shape[1]
    grid = side // patch
    kinds = np.zeros((n, len(KINDS)), bool)
    colors = np.zeros((n, len(COLORS)), bool)
    cells = np.zeros((n, _CELLS**2, len(COLORS)), bool)
    rows = []
    for scene, sample in enumerate(samples):
        items = scene_layout(start + scene, GATE_SEED, OPTIONS).items
        for obj, item in zip(sample.objects, items, strict=True):
            kind, color = KINDS.index(obj.name), COLORS.index(obj.color or "")
            y, x = (float(places.mean()) + 0.5 for places in np.nonzero(obj.mask))
            row, col = int(y // patch), int(x // patch)
            offset = (x - (col + 0.5) * patch, y - (row + 0.5) * patch)
            small = item.radius_in_pixels <= SMALL_RADIUS
            rows.append((scene, row * grid + col, offset, kind, color, small))
            kinds[scene, kind] = colors[scene, color] = True
            cells[scene, int(y * _CELLS // side) * _CELLS + int(x * _CELLS // side), color] = True
    covered = np.stack([_masked(sample) for sample in samples]).astype(np.float32)
    return HeldOut(
        images,
        kinds,
        colors,
        cells,
        _quadrants(images, patch),
        _blocks(covered[..., None], patch)[..., 0].mean(-1) >= _COVERED,
        *(np.array(column) for column in zip(*rows, strict=True)),
    )


def _masked(sample: Sample) -> Bool[np.ndarray, "side side"]:
    return np.logical_or.reduce([obj.mask for obj in sample.objects])


def _blocks(
    values: Real[np.ndarray, "n side side channel"], size: int
) -> Real[np.ndarray, "n block channel pixel"]:
    """Cuts images into squares of `size` pixels, in reading order."""
    n, side, _, channels = values.shape
    grid = side // size
    cut = values.reshape(n, grid, size, grid, size, channels).transpose(0, 1, 3, 5, 2, 4)
    return cut.reshape(n, grid * grid, channels, size * size)


def _quadrants(
    images: UInt8[np.ndarray, "n side side 3"], patch: int
) -> Float[np.ndarray, "n patch 12"]:
    means = _blocks(images, patch // 2).mean(-1) / 255
    n, half = len(images), images.shape[1] // (patch // 2)
    grid = half // 2
    cut = means.reshape(n, grid, 2, grid, 2, 3).transpose(0, 1, 3, 2, 4, 5)
    return cut.reshape(n, grid * grid, 12).astype(np.float32)
