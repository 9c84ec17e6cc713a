"""ADE20K in the layout of the scene parsing benchmark, ADEChallengeData2016: 150 classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ._box import outer_box
from ._mask import check_masks, read_labels
from ._sample import Object, Sample
from .images import open_image
from .lazy import LazySamples, content_hash, existing_folder
from .schema import read_lines

INFO = "objectInfo150.txt"


def ade20k(folder: str | Path, *, split: str = "validation") -> LazySamples:
    """Samples of ADE20K's scene parsing, ordered by name.

    The label maps hold classes without instances: an object is everything that one class covers,
    and `meta["instances"]` is False. Label 0 is `ignore`; there is no background. A class is called
    by its first name ("building, edifice" is "building"), or by all of them if two classes would
    share the first.

    Args:
        folder: holds `images/SPLIT`, `annotations/SPLIT` and `objectInfo150.txt`.
        split: "validation" or "training".

    Raises:
        InputError: a missing folder or file; on access, an unreadable image, a label map that is
            not a palette or grey image, has another size, or holds labels beyond the list.
    """
    root = existing_folder(folder, "a folder of ADE20K's scene parsing")
    labels = existing_folder(root / "annotations" / split, "the folder of ADE20K's label maps")
    images = existing_folder(root / "images" / split, "the folder of ADE20K's images")
    maps = sorted(labels.glob("*.png"))
    if not maps:
        raise InputError(f"{labels}: expected label maps as PNG, got none: unpack them there")
    names = _names(root / INFO)
    for file in maps:
        if not (images / f"{file.stem}.jpg").is_file():
            raise InputError(f"{images / f'{file.stem}.jpg'}: no such image, but {file} exists")
    source = _Ade(root / INFO, images, tuple(maps), names)
    places = range(len(maps))
    return LazySamples(f"ade20k:{labels}", source.read, source.describe, places, names)


@dataclass(frozen=True)
class _Ade:
    """The source behind `LazySamples`."""

    info: Path
    images: Path
    maps: tuple[Path, ...]
    names: tuple[str, ...]

    def image(self, file: Path) -> Path:
        return self.images / f"{file.stem}.jpg"

    def describe(self, places: Sequence[int]) -> object:
        return {
            "source": "ade20k",
            "names": content_hash(self.info),
            "images": [
                [file.stem, self.image(file).stat().st_size, content_hash(file)]
                for file in (self.maps[place] for place in places)
            ],
        }

    def read(self, place: int) -> Sample:
        file = self.maps[place]
        image = open_image(self.image(file))
        labels = read_labels(file, image.size)
        if labels.max() > len(self.names):
            raise InputError(
                f"{file}: expected labels from 0 to {len(self.names)}, got {labels.max()}: use "
                f"the label maps that belong to {self.info.name}"
            )
        present = np.unique(labels[labels > 0])
        check_masks(len(present), image.size, str(file))
        masks = [(int(label), labels == label) for label in present]
        return Sample(
            id=file.stem,
            image=image,
            objects=tuple(
                Object(self.names[label - 1], mask, outer_box(mask)) for label, mask in masks
            ),
            meta={"source": "ade20k", "instances": False},
            ignore=labels == 0,
        )


def _names(file: Path) -> tuple[str, ...]:
    """Names by label, starting with 1: tab-separated rows, the number first and the names last."""
    if not file.is_file():
        raise InputError(f"{file}: expected the list of classes that comes with ADE20K, got none")
    rows = [line.split("\t") for line in read_lines(file, "the list of classes")]
    rows = [[cell.strip() for cell in row] for row in rows]
    # Python refuses to parse thousands of digits.
    rows = [row for row in rows if row[0].isdecimal() and len(row[0]) < 10]
    numbers = [int(row[0]) for row in rows]
    if not rows or numbers != list(range(1, len(rows) + 1)) or any(len(r) < 2 for r in rows):
        raise InputError(
            f"{file}: expected rows of number and names, split by tabs and counted from 1, got "
            "something else: use the file that comes with ADE20K"
        )
    whole = [row[-1].replace(";", ",") for row in rows]
    first = [names.split(",")[0].strip() for names in whole]
    count = Counter(first)
    return tuple(
        short if count[short] == 1 else names for short, names in zip(first, whole, strict=True)
    )
