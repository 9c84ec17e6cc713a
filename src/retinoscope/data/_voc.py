"""Pascal VOC's segmentation task: folders as unpacked, such as VOCdevkit/VOC2012."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int
from PIL import Image

from ..errors import InputError
from ._box import outer_box
from ._mask import check_masks, read_labels
from ._sample import Object, Sample
from .images import open_image
from .lazy import LazySamples, content_hash, existing_folder
from .schema import inside, read_lines, unique
from .skipped import SKIPPED, Skipped

VOC_CLASSES: tuple[str, ...] = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
"""Pascal VOC's own names, starting with label 1."""
_SPOKEN = {"diningtable": "dining table", "pottedplant": "potted plant", "tvmonitor": "tv monitor"}
VOC_NAMES: tuple[str, ...] = tuple(_SPOKEN.get(name, name) for name in VOC_CLASSES)
"""The same as words, which name the objects here."""
VOID = 255


def voc(folder: str | Path, *, split: str = "val") -> LazySamples:
    """Samples of Pascal VOC's segmentation task, in the order of the split's file.

    Objects are the instances of `SegmentationObject`, each of the class that most of its pixels
    have in `SegmentationClass`; without a `SegmentationObject` for the image, an object is
    everything that one class covers, and `meta["instances"]` is False. Label 0 is background, 255
    (outlines and difficult objects) is `ignore`. Names are words: "dining table", "potted plant",
    "tv monitor".

    Args:
        folder: holds `JPEGImages`, `SegmentationClass` and `ImageSets/Segmentation`, or is a
            `VOCdevkit` that holds one such folder.
        split: name of a file in `ImageSets/Segmentation`.

    Raises:
        InputError: a missing folder, file or image, a duplicate name or one that leads out of the
            folder; on access, an unreadable image, label maps that are not palette or grey images,
            have another size, or hold labels above 20.
    """
    root = _root(existing_folder(folder, "a folder of Pascal VOC"))
    listed = root / "ImageSets" / "Segmentation" / f"{split}.txt"
    if not listed.is_file():
        splits = ", ".join(sorted(file.stem for file in listed.parent.glob("*.txt")))
        raise InputError(f"{listed}: expected the file of a split, got none; there are: {splits}")
    # A line may hold more than the name (1 or -1 in the files of single classes).
    names = [line.split()[0] for line in read_lines(listed, "names of images")]
    if not names:
        raise InputError(f"{listed}: expected names of images, got an empty file")
    unique(names, str(listed), "image")
    for name in names:
        inside(name, f"{listed}: {name}")
    source = _Voc(root, listed, tuple(names))
    for name in names:
        for file in (source.image(name), source.labels(name)):
            if not file.is_file():
                raise InputError(f"{file}: no such file, but {listed.name} names it: fetch it")
    return LazySamples(f"voc:{listed}", source.read, source.describe, range(len(names)), VOC_NAMES)


@dataclass(frozen=True)
class _Voc:
    """The source behind `LazySamples`."""

    root: Path
    listed: Path
    names: tuple[str, ...]

    def image(self, name: str) -> Path:
        return self.root / "JPEGImages" / f"{name}.jpg"

    def labels(self, name: str, kind: str = "Class") -> Path:
        return self.root / f"Segmentation{kind}" / f"{name}.png"

    def describe(self, places: Sequence[int]) -> object:
        chosen = [self.names[place] for place in places]
        return {
            "source": "voc",
            "images": [
                [name, self.image(name).stat().st_size, content_hash(self.labels(name))]
                for name in chosen
            ],
            "instances": [
                content_hash(file) if file.is_file() else None
                for file in (self.labels(name, "Object") for name in chosen)
            ],
        }

    def read(self, place: int) -> Sample:
        name = self.names[place]
        image = open_image(self.image(name))
        labels = self._map(self.labels(name), image, len(VOC_NAMES))
        instances = self.labels(name, "Object")
        has_instances = instances.is_file()
        regions = self._map(instances, image, VOID - 1) if has_instances else labels
        objects = []
        ignore = labels == VOID
        skipped: list[Skipped] = []
        numbers = np.unique(regions[(regions > 0) & (regions != VOID)])
        check_masks(len(numbers), image.size, str(instances))
        for region in numbers:
            mask = regions == region
            classes = labels[mask & (labels > 0) & (labels != VOID)]
            if not classes.size:
                ignore |= mask
                why = f"{instances}: instance {region} lies where {self.labels(name)} has no class"
                skipped.append(Skipped("objects left out because their annotation is damaged", why))
                continue
            label = int(np.bincount(classes).argmax())
            objects.append(Object(VOC_NAMES[label - 1], mask, outer_box(mask)))
        return Sample(
            id=name,
            image=image,
            objects=tuple(objects),
            meta={"source": "voc", "instances": has_instances, SKIPPED: tuple(skipped)},
            ignore=ignore,
        )

    def _map(self, file: Path, image: Image.Image, most: int) -> Int[np.ndarray, "height width"]:
        labels = read_labels(file, image.size)
        known = labels[labels != VOID]
        if known.size and known.max() > most:
            raise InputError(
                f"{file}: expected labels from 0 to {most} and {VOID}, got {known.max()}: use "
                "Pascal VOC's own label maps"
            )
        return labels


def _root(folder: Path) -> Path:
    candidates = [folder, *sorted(folder.glob("VOC2*")), *sorted(folder.glob("VOCdevkit/VOC2*"))]
    roots = [root for root in candidates if (root / "ImageSets" / "Segmentation").is_dir()]
    if len(roots) == 1:
        return roots[0]
    if roots:
        raise InputError(
            f"{folder}: expected one folder of Pascal VOC, got "
            f"{', '.join(str(root) for root in roots)}: name one of them"
        )
    raise InputError(
        f"{folder}: expected ImageSets/Segmentation, got none: give the folder that holds "
        "JPEGImages, SegmentationClass and ImageSets"
    )
