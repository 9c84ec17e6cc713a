"""Objects in a row of a `datasets` dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from ..errors import InputError
from ._box import Box, box_mask, cut_box, outer_box
from ._mask import check_masks, mask_object
from ._sample import Object
from ._segmentation import decode_segmentation

Boxes: TypeAlias = Literal["xywh", "xyxy"]
NAMES = ("name", "category", "label", "class")
BOXES = ("bbox", "box")
_SLACK = 1.5
"""Pixels by which boxes of published data may extend beyond their images."""


def label_names(feature: object) -> dict[str, list[str]]:
    """Names of the class numbers in each field of objects, from the dataset's features."""
    inner = _inside(feature)
    if not isinstance(inner, Mapping):
        return {}
    fields = {str(key): _inside(value) for key, value in inner.items()}
    names_of = {key: getattr(value, "names", None) for key, value in fields.items()}
    return {key: list(names) for key, names in names_of.items() if names}


def objects_of(
    stored: object,
    labels: Mapping[str, Sequence[str]],
    size: tuple[int, int],
    boxes: Boxes,
    where: str,
    check: Callable[[str, str], None] = lambda file, where: None,
) -> tuple[tuple[Object, ...], tuple[str, ...], tuple[str, ...]]:
    """Reads objects, and the names of those left out: crowds, and objects that cover no pixel.

    Args:
        stored: a list of objects, or an object of lists; None for none.
        labels: see `label_names`.
        size: width and height of the image.
        boxes: the meaning of a box's four numbers.
        where: the row's name in errors.
        check: refuses files that may not be opened.

    Raises:
        InputError: objects of another form, or boxes that do not fit the image.
        MissingExtraError: compressed run lengths without pycocotools.
    """
    objects: list[Object] = []
    crowds: list[str] = []
    unseen: list[str] = []
    entries = _entries(stored, where)
    check_masks(len(entries), size, where)
    for entry in entries:
        name = _name(entry, labels, where)
        if entry.get("iscrowd"):
            crowds.append(name)
            continue
        obj = _object(name, entry, size, boxes, where, check)
        if obj is None:
            unseen.append(name)
            continue
        color = entry.get("color")
        objects.append(replace(obj, color=color if isinstance(color, str) and color else None))
    return tuple(objects), tuple(crowds), tuple(unseen)


def _inside(feature: object) -> object:
    """The feature of a sequence's items."""
    while True:
        if isinstance(feature, list) and len(feature) == 1:
            feature = feature[0]
        elif hasattr(feature, "feature"):
            feature = feature.feature  # type: ignore[attr-defined]
        else:
            return feature


def _entries(stored: object, where: str) -> list[Mapping[str, object]]:
    if stored is None:
        return []
    if isinstance(stored, dict):
        lists = {key: value for key, value in stored.items() if isinstance(value, list)}
        if not lists or len({len(value) for value in lists.values()}) > 1:
            raise InputError(f"{where}: expected lists of the same length, got {_keys(stored)}")
        count = len(next(iter(lists.values())))
        return [{key: value[i] for key, value in lists.items()} for i in range(count)]
    if not isinstance(stored, list) or not all(isinstance(item, dict) for item in stored):
        raise InputError(
            f"{where}: expected a list of objects or an object of lists, got a "
            f"{type(stored).__name__}"
        )
    return stored


def _name(entry: Mapping[str, object], labels: Mapping[str, Sequence[str]], where: str) -> str:
    for key in NAMES:
        value = entry.get(key)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, int):
            known = labels.get(key, ())
            if not 0 <= value < len(known):
                raise InputError(
                    f"{where}: expected {key!r} as a text or a number of a ClassLabel, got "
                    f"{value}: cast the column so that its numbers have names"
                )
            return known[value]
    raise InputError(
        f"{where}: expected every object with one of {', '.join(NAMES)}, got {_keys(entry)}"
    )


def _object(
    name: str,
    entry: Mapping[str, object],
    size: tuple[int, int],
    boxes: Boxes,
    where: str,
    check: Callable[[str, str], None],
) -> Object | None:
    """The object, or None where it covers no pixel."""
    width, height = size
    if (stored := entry.get("mask")) is not None:
        source = stored.get("bytes") or stored.get("path") if isinstance(stored, dict) else stored
        if not isinstance(source, bytes | str):
            raise InputError(f"{where}: expected 'mask' as an image, got a {type(source).__name__}")
        if isinstance(source, str):
            check(source, where)
        return mask_object(
            name, Path(source) if isinstance(source, str) else source, f"{where}: {name}", size
        )
    if stored := entry.get("segmentation"):
        try:
            mask = decode_segmentation(stored, height, width)  # type: ignore[arg-type]
        except InputError as error:
            raise InputError(f"{where}: {name}: {error}") from error
        return Object(name, mask, outer_box(mask)) if mask.any() else None
    numbers = next((entry[key] for key in BOXES if entry.get(key) is not None), None)
    if numbers is None:
        raise InputError(
            f"{where}: expected every object with one of {', '.join(BOXES)}, mask and "
            f"segmentation, got {_keys(entry)}"
        )
    box = _corners(numbers, boxes, size, f"{where}: {name}")
    mask = box_mask(box, width, height)
    return Object(name, mask, cut_box(box, width, height), boxed=True) if mask.any() else None


def _corners(numbers: object, boxes: Boxes, size: tuple[int, int], where: str) -> Box:
    try:
        four = np.asarray(numbers, dtype=float)
    except (TypeError, ValueError):
        four = np.empty(0)
    if four.shape != (4,) or not np.isfinite(four).all():
        raise InputError(f"{where}: expected a box of four numbers, got {str(numbers)[:60]}")
    x0, y0, x1, y1 = (float(value) for value in four)
    if boxes == "xywh":
        x1, y1 = x0 + x1, y0 + y1
    # With the wrong meaning, boxes mostly do not fit; those that fit cannot be told apart.
    if (
        min(x0, y0) < -_SLACK
        or x1 > size[0] + _SLACK
        or y1 > size[1] + _SLACK
        or x1 < x0
        or y1 < y0
    ):
        names = {"xywh": "x, y, width, height", "xyxy": "x0, y0, x1, y1"}
        other = "xyxy" if boxes == "xywh" else "xywh"
        raise InputError(
            f"{where}: expected a box {names[boxes]} inside the image ({size[0]}x{size[1]}), got "
            f"{four.tolist()}: if it means {names[other]}, pass boxes={other!r}"
        )
    return x0, y0, x1, y1


def _keys(entry: Mapping[str, object]) -> str:
    return f"the keys {', '.join(sorted(entry)) or 'none'}"
