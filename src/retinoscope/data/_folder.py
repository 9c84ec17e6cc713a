"""A folder of images, with optional questions and masks beside them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from PIL import Image

from ..errors import InputError
from ._image import open_image
from ._lazy import LazySamples, content_hash, existing_folder
from ._sample import Object, Question, Sample
from ._table import Row, find_table, read_table

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
UNNAMED = "object"
"""Name of a mask that neither its file nor the table names."""


def folder(path: str | Path) -> LazySamples:
    """Samples of the images that lie directly in a folder, sorted by file name.

        photos/cat.jpg  photos/dog.png      the images; a sample's id is the file name
        photos/questions.csv                optional, or .jsonl or .parquet
        photos/masks/cat.png                optional: the mask of one object, or
        photos/masks/cat/whisker.png        masks of several, each named by its file

    The table has the columns image (a file name), question and answer, and optionally kind (see
    `Question.kind`) and object (the name of the mask that the question is about; for
    `masks/cat.png`, that names the object, which is otherwise called "object"). A question of an
    image with one mask is about that; of one with several, about the one that the row names.

    A mask is an image of the same size: 0 outside, one other value inside. Colour masks are inside
    where any channel is not 0.

    Raises:
        InputError: no folder, no images in it, a table that cannot be read or that names an unknown
            image, a mask of no image; on access, an unreadable image, a mask of another size than
            its image, empty, or of several values.
    """
    root = existing_folder(path, "a folder of images")
    files = sorted(
        (f for f in root.iterdir() if f.suffix.lower() in SUFFIXES and f.is_file()),
        key=lambda file: file.name,
    )
    if not files:
        raise InputError(
            f"{root}: expected images ({', '.join(sorted(SUFFIXES))}) directly in the folder, got "
            "none: name the folder that holds them"
        )
    table = find_table(root)
    rows: dict[str, list[Row]] = defaultdict(list)
    names = {file.name for file in files}
    for row in [] if table is None else read_table(table):
        if row.image not in names:
            raise InputError(
                f"{row.where}: expected the file name of an image in {root}, got {row.image!r}"
            )
        rows[row.image].append(row)
    source = _Folder(tuple(files), table, rows, _masks(root, files))
    return LazySamples(f"folder:{root}", source.read, source.describe, range(len(files)))


@dataclass(frozen=True)
class _Folder:
    """What `LazySamples` reads from. `masks` is by an image's stem: (name, file) each."""

    files: tuple[Path, ...]
    table: Path | None
    rows: Mapping[str, Sequence[Row]]
    masks: Mapping[str, Sequence[tuple[str | None, Path]]]

    def describe(self, places: Sequence[int]) -> object:
        chosen = [self.files[place] for place in places]
        return {
            "source": "folder",
            "table": content_hash(self.table),
            "images": [[file.name, file.stat().st_size] for file in chosen],
            "masks": [
                [file.stem, name, mask.stat().st_size]
                for file in chosen
                for name, mask in self.masks.get(file.stem, ())
            ],
        }

    def read(self, place: int) -> Sample:
        file = self.files[place]
        image = open_image(file)
        rows = self.rows.get(file.name, ())
        objects = tuple(
            _object(name or _named(rows), mask, image)
            for name, mask in self.masks.get(file.stem, ())
        )
        return Sample(
            id=file.name,
            image=image,
            objects=objects,
            questions=tuple(
                Question(row.question, row.answer, row.kind, _about(row, objects)) for row in rows
            ),
            meta={"source": "folder", "file_name": file.name},
        )


def _masks(root: Path, files: Sequence[Path]) -> dict[str, list[tuple[str | None, Path]]]:
    stems = {file.stem for file in files}
    found: dict[str, list[tuple[str | None, Path]]] = defaultdict(list)
    if not (root / "masks").is_dir():
        return found
    for entry in sorted((root / "masks").iterdir(), key=lambda entry: entry.name):
        inner = entry.is_dir()
        if entry.name.startswith(".") or not (inner or entry.suffix.lower() == ".png"):
            continue
        stem = entry.name if inner else entry.stem
        if stem not in stems:
            raise InputError(
                f"{entry}: expected a mask named as an image in {root}, got none called {stem!r}: "
                "rename or remove it"
            )
        if inner:
            found[stem] += [(mask.stem, mask) for mask in sorted(entry.glob("*.png"))]
        else:
            found[stem].append((None, entry))
    return found


def _named(rows: Sequence[Row]) -> str:
    names = {row.object for row in rows if row.object}
    if len(names) > 1:
        raise InputError(
            f"{rows[0].where}: expected one object for the one mask of {rows[0].image}, got "
            f"{' and '.join(sorted(names))}: put masks at masks/{Path(rows[0].image).stem}/NAME.png"
        )
    return names.pop() if names else UNNAMED


def _about(row: Row, objects: Sequence[Object]) -> tuple[int, ...]:
    if row.object is None:
        return (0,) if len(objects) == 1 else ()
    places = tuple(place for place, obj in enumerate(objects) if obj.name == row.object)
    if not places:
        raise InputError(
            f"{row.where}: expected the name of a mask of {row.image} "
            f"({', '.join(obj.name for obj in objects) or 'it has none'}), got {row.object!r}"
        )
    return places


def _object(name: str, file: Path, image: Image.Image) -> Object:
    mask = _read_mask(file)
    if mask.shape != (image.height, image.width):
        raise InputError(
            f"{file}: expected a mask of the image's size {image.width}x{image.height} (width x "
            f"height), got {mask.shape[1]}x{mask.shape[0]}: use the mask of this image"
        )
    if not mask.any():
        raise InputError(f"{file}: expected a mask with at least one pixel, got an empty one")
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = (float(cols[0]), float(rows[0]), float(cols[-1] + 1), float(rows[-1] + 1))
    return Object(name, mask, box)


def _read_mask(file: Path) -> Bool[np.ndarray, "height width"]:
    try:
        with Image.open(file) as image:
            if image.has_transparency_data and image.mode != "P":
                image = image.convert("RGB")
            values = np.asarray(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{file}: expected a mask as an image, got a damaged one") from error
    if values.ndim == 3:
        values = values.max(axis=2)
        return values > 0
    inside = np.unique(values[values > 0])
    if len(inside) > 1:
        raise InputError(
            f"{file}: expected a mask of 0 and one other value, got {len(inside)} other values: "
            "save the mask of one object, without smoothed edges"
        )
    return values > 0
