"""The truth about one image, and where it lies on a grid of locations.

Pixels are read once per image. On a grid every pixel belongs to at most one location, so the number
of pixels that a map with one answer per location gets right follows from a table of (location,
object, pixels) alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from ...data import Object, Sample
from ...errors import InputError
from ...store import fingerprint_array
from ...tokens import token_map

IGNORED = -1
"""In a map of objects: pixels about which nothing is known (boxes without outline, `others`)."""

_LEVELS = 3
"""Levels per channel in coarse colours."""


@dataclass(frozen=True, eq=False)
class Item:
    """An object of an image: `center` is x, y in pixels, `hue` a coarse bin of its mean colour."""

    name: str
    color: str | None
    area: int
    center: tuple[float, float]
    hue: int


@dataclass(frozen=True, eq=False)
class Truth:
    """One image's objects and parts, without its pixels.

    Attributes:
        pixels: fingerprint of the image's pixels.
        size: width and height.
        parts: object index and name of each visible part.
        packed: `instance`, compressed.
    """

    sample: str
    pixels: str
    size: tuple[int, int]
    items: tuple[Item, ...]
    parts: tuple[tuple[int, str], ...]
    packed: bytes

    @property
    def instance(self) -> Int[np.ndarray, "height width"]:
        """1 + index of the topmost object, 0 for background, or `IGNORED`."""
        flat = np.frombuffer(zlib.decompress(self.packed), np.int16)
        return flat.reshape(self.size[::-1])


@dataclass(frozen=True, eq=False)
class Maps:
    """One image's pixels, needed until the image is laid on its grids.

    Attributes:
        instance: (H, W) 1 + index of the topmost object, 0 for background, or `IGNORED`.
        part: (H, W) 1 + index of the part, 0 for none, or `IGNORED`.
        masks: (H, W) of each object; they may overlap.
    """

    instance: Int[np.ndarray, "height width"]
    part: Int[np.ndarray, "height width"]
    masks: tuple[Bool[np.ndarray, "height width"], ...]
    rgb: Int[np.ndarray, "height width 3"]


def truth_of(sample: Sample) -> tuple[Truth, Maps]:
    """Reads one sample. Where masks overlap, the smaller object is on top.

    Raises:
        InputError: a mask that differs in size from the image, or is empty.
    """
    check_masks(sample)
    rgb = np.asarray(sample.image.convert("RGB"))
    maps = _maps(sample, rgb)
    truth = Truth(
        sample=sample.id,
        pixels=fingerprint_array(rgb),
        size=sample.image.size,
        items=tuple(_item(obj, rgb) for obj in sample.objects),
        parts=tuple((k, part.name) for k, obj in enumerate(sample.objects) for part in obj.parts),
        packed=zlib.compress(maps.instance.astype(np.int16).tobytes(), 1),
    )
    return truth, maps


def _maps(sample: Sample, rgb: np.ndarray) -> Maps:
    instance, part = np.zeros(rgb.shape[:2], np.int32), np.zeros(rgb.shape[:2], np.int32)
    for other in sample.others:
        instance[other.mask] = part[other.mask] = IGNORED
    first = np.cumsum([1, *(len(obj.parts) for obj in sample.objects)])
    for number in sorted(range(len(sample.objects)), key=lambda k: -sample.objects[k].area):
        obj = sample.objects[number]
        instance[obj.mask] = IGNORED if obj.boxed else 1 + number
        # Unless an object's parts are known, any of its pixels may belong to one.
        part[obj.mask] = 0 if obj.parts else IGNORED
        for label, object_part in enumerate(obj.parts, int(first[number])):
            part[object_part.mask & obj.mask] = label
    return Maps(instance, part, tuple(obj.mask for obj in sample.objects), rgb)


def check_masks(sample: Sample) -> None:
    """Raises `InputError` for a mask that differs in size from the image, or is empty."""
    width, height = sample.image.size
    shape = (height, width)
    for obj in sample.objects:
        _check_mask(sample, obj.name, obj.mask, shape)
        for part in obj.parts:
            _check_mask(sample, f"{obj.name}'s {part.name}", part.mask, shape)


def _check_mask(sample: Sample, what: str, mask: np.ndarray, shape: tuple[int, int]) -> None:
    if mask.shape != shape:
        raise InputError(
            f"{sample.id}: expected a mask of the image's size {shape[1]}x{shape[0]} (width x "
            f"height) for {what}, got {mask.shape[-1]}x{mask.shape[0]}: use the mask of this image"
        )
    if not mask.any():
        raise InputError(
            f"{sample.id}: expected a mask with at least one pixel for {what}, got an empty one: "
            "leave it out"
        )


def _item(obj: Object, rgb: np.ndarray) -> Item:
    rows, columns = np.nonzero(obj.mask)
    return Item(
        obj.name,
        obj.color,
        int(rows.size),
        (float(columns.mean()) + 0.5, float(rows.mean()) + 0.5),
        int(hue_bins(rgb[rows, columns].mean(0)[None])[0]),
    )


def hue_bins(rgb: Float[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
    """The coarse bin of each colour (0 to 255), with `_LEVELS` levels per channel."""
    steps = np.minimum((rgb * _LEVELS / 256).astype(np.int64), _LEVELS - 1)
    return steps @ np.array([_LEVELS**2, _LEVELS, 1])


@dataclass(frozen=True, eq=False)
class Cells:
    """Pixel counts by location and label.

    Row k: location `place[k]` (-1: none) has `count[k]` pixels of `label[k]`.
    """

    place: Int[np.ndarray, " row"]
    label: Int[np.ndarray, " row"]
    count: Int[np.ndarray, " row"]

    def relabelled(self, labels: Int[np.ndarray, " label"]) -> Cells:
        """Replaces each label by `labels[label]`; rows whose label becomes negative are dropped."""
        label = labels[self.label]
        keep = label >= 0
        return Cells(self.place[keep], label[keep], self.count[keep])


@dataclass(frozen=True, eq=False)
class Located:
    """An image on a grid of n locations.

    Attributes:
        pixels: (n,) number per location, unknown ones included.
        regions: pixels of each object's whole mask, by index of the object.
        objects: by 1 + index of the topmost object, 0 for background.
        parts: by 1 + index of the part, 0 for none.
        hues: (n,) coarse bin of each location's mean colour.
        centers: (n, 2) x, y of each location in pixels, NaN where it is unplaced.
    """

    n: int
    pixels: Int[np.ndarray, " n"]
    regions: Cells
    objects: Cells
    parts: Cells
    hues: Int[np.ndarray, " n"]
    centers: Float[np.ndarray, "n 2"]


def locate(truth: Truth, maps: Maps, boxes: Float[np.ndarray, "n 4"]) -> Located:
    """Lays an image's truth on the grid with these boxes.

    Args:
        boxes: x0 y0 x1 y1 in pixels of the original image, NaN where unplaced.

    Raises:
        InputError: all locations are unplaced.
    """
    boxes = np.asarray(boxes, np.float64)
    owner = token_map(boxes, truth.size)
    if (owner < 0).all():
        raise InputError(
            f"{truth.sample}: none of the {len(boxes)} locations has a place in the image: "
            "probes need an encoder whose locations are known"
        )
    n = len(boxes)
    flat = owner.ravel()
    placed = flat >= 0
    pixels = np.bincount(flat[placed], minlength=n)
    sums = np.stack(
        [np.bincount(flat[placed], maps.rgb[..., k].ravel()[placed], n) for k in range(3)], 1
    )
    return Located(
        n,
        pixels,
        _regions(flat, maps.masks, n),
        _cells(flat, maps.instance.ravel()),
        _cells(flat, maps.part.ravel()),
        hue_bins(sums / np.maximum(pixels, 1)[:, None]),
        (boxes[:, :2] + boxes[:, 2:]) / 2,
    )


def _regions(owner: np.ndarray, masks: Sequence[np.ndarray], n: int) -> Cells:
    rows: list[np.ndarray] = [np.zeros((0, 3), np.int64)]
    for number, mask in enumerate(masks):
        inside = owner[mask.ravel()]
        count = np.bincount(inside[inside >= 0], minlength=n)
        place = np.flatnonzero(count)
        rows.append(np.stack([place, np.full(len(place), number), count[place]], 1))
    place, label, count = np.concatenate(rows).T
    return Cells(place, label, count)


def _cells(owner: np.ndarray, labels: np.ndarray) -> Cells:
    known = labels != IGNORED
    owner, labels = owner[known], labels[known]
    width = int(labels.max(initial=0)) + 1
    codes = np.bincount((owner + 1) * width + labels)
    occupied = np.flatnonzero(codes)
    return Cells(occupied // width - 1, occupied % width, codes[occupied])


def first_of_each(truths: Mapping[int, Truth]) -> list[int]:
    """Numbers of the images whose pixels no earlier one has.

    Raises:
        InputError: two images have the same name.
    """
    names: set[str] = set()
    first: dict[str, int] = {}
    for number, truth in truths.items():
        if truth.sample in names:
            raise InputError(
                f"expected images with names of their own, got {truth.sample!r} twice: rename one"
            )
        names.add(truth.sample)
        first.setdefault(truth.pixels, number)
    return list(first.values())
