"""Images with a table of questions and with masks: a folder of them, or a table."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from .. import arguments
from ..errors import InputError
from ._box import beyond, box_mask, cut_box, slack
from ._mask import check_masks, mask_object
from ._sample import Object, Question, Sample
from ._table import Row, read_table
from ._word_labels import find_labels, read_labels
from .images import SUFFIXES, UNREAD, open_image
from .lazy import LazySamples, content_hash, existing_folder
from .skipped import Skipped, counted, lines
from .tabular import find_rows

UNNAMED = "object"
"""Name of an object that is named neither by its file nor by the table."""


def folder(path: str | Path, *, outside: bool = False) -> LazySamples:
    """Samples of the images that lie directly in a folder, sorted by file name.

        photos/cat.jpg  photos/dog.png      the images; a sample's id is the file name
        photos/questions.csv                optional, or .jsonl or .parquet
        photos/masks/cat.png                optional: the mask of one object, or
        photos/masks/cat/whisker.png        masks of several, named by their files
        photos/gt.txt                       optional, or labels.txt: the word that each image shows,
                                            as in ICDAR (`cat.png, "Cat"`) or IIIT5K (`cat.png Cat`)

    The table has the columns of `table`. Its column object names one of the masks (for
    `masks/cat.png` it names the object, which is otherwise "object"). If an image has one object,
    its questions are about that; if it has several, about the one that the row names.

    A mask is an image of the same size: 0 outside, one other value inside. In colour masks, a pixel
    is inside if any channel is not 0.

    Files that look like images but are not read (an unsupported format, a broken link, images in
    subfolders) are listed in `skipped`.

    Args:
        outside: allow masks that the table names to lie outside the folder.

    Raises:
        InputError: no folder, no images in it, a table that cannot be read or names an unknown
            image, a mask without its image; on access, an unreadable image, or a mask that is
            empty, has several values or another size than its image.
    """
    root = existing_folder(path, "a folder of images")
    files, skipped = _listed(root)
    if not files:
        others = "".join(f"; {line}" for line in lines(counted(skipped)))
        raise InputError(
            f"{root}: expected images ({', '.join(sorted(SUFFIXES))}) directly in the folder, got "
            f"none: name the folder that holds them{others}"
        )
    asked = find_rows(root, "questions")
    rows: dict[str, list[Row]] = defaultdict(list)
    names = {file.name for file in files}
    labels = find_labels(root)
    told = [] if asked is None else read_table(asked, outside=outside)
    for row in told + ([] if labels is None else read_labels(labels)):
        if row.image not in names:
            raise InputError(
                f"{row.where}: expected the file name of an image in {root}, got {row.image!r}"
            )
        rows[row.image].append(row)
    file_names = tuple(file.name for file in files)
    masks = _masks(root, files)
    samples = _samples("folder", root, asked, root, file_names, rows, masks, outside, labels)
    return replace(samples, skipped=tuple(skipped))


def _listed(root: Path) -> tuple[list[Path], list[Skipped]]:
    """The images in a folder, sorted by name, and what looks like one but is not read."""
    files: list[Path] = []
    skipped: list[Skipped] = []
    for file in sorted(root.iterdir(), key=lambda path: path.name):
        suffix = file.suffix.lower()
        if file.name.startswith("."):
            continue
        if file.is_dir():
            if file.name != "masks" and any(
                inner.suffix.lower() in SUFFIXES for inner in file.iterdir()
            ):
                why = "only images directly in the folder are read: name this one to read it"
                skipped.append(Skipped("folders not read", f"{file}: {why}"))
        elif suffix in SUFFIXES and file.is_file():
            files.append(file)
        elif suffix in SUFFIXES or (suffix in UNREAD and file.is_symlink() and not file.exists()):
            skipped.append(Skipped("broken links, not read", str(file)))
        elif suffix in UNREAD:
            why = f"{suffix} is not supported: save it as PNG or JPEG"
            skipped.append(Skipped("images of unsupported formats, not read", f"{file}: {why}"))
    return files, skipped


def table(
    file: str | Path, *, images: str | Path | None = None, outside: bool = False
) -> LazySamples:
    """Samples of the images that a table names, in the table's order.

    A CSV file with a header, JSON lines or parquet, with one question or object per row:

        image     a file, relative to `images`
        question  optional, with an answer: text
        answer    text, ideally one word
        kind      optional: see `Question.kind`; "question" if empty
        id        optional: the sample's id; by default the value of `image`
        object    optional: the name of the object that the question is about
        box       optional: that object's x0 y0 x1 y1 in pixels, x1 and y1 exclusive: four numbers
                  as a list, or as a text with spaces or commas between them
        mask      optional, instead of box: a file with that object's mask, relative to `images`
        about     optional: indices of several objects that carry the answer, as a list or a text

    All rows of an image make one sample. Its objects are the distinct boxes and masks of its rows,
    in order (in a folder, after the files in `masks/`); `about` counts them from 0. A row without
    `about` is about its own box or mask, or else about the objects with the name in `object`, or
    else about the image's only object. Objects with a box have `Object.boxed` True. Other columns
    are ignored.

    Args:
        file: the table.
        images: the folder of images; by default the table's own.
        outside: allow images and masks outside that folder.

    Raises:
        InputError: no such file or folder, a missing column or value, a value of the wrong form, a
            missing image or mask, one outside the folder, two images with the same id; on access,
            an unreadable image, a mask of another size than its image, a box that extends beyond
            the image by more than a hundredth of its longer side, an unknown object.
    """
    path = arguments.path(file, "a table of questions").expanduser()
    if not path.is_file():
        raise InputError(f"{path}: expected a table of questions, got no file there")
    root = path.parent if images is None else existing_folder(images, "the folder of images")
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in read_table(path, outside=outside):
        if row.image not in rows and not (root / row.image).is_file():
            raise InputError(
                f"{row.where}: expected the file of an image in {root}, got {row.image!r}: correct "
                "it, or name the images' folder as rs.data.table(file, images=...)"
            )
        rows[row.image].append(row)
    if not rows:
        raise InputError(f"{path}: expected at least one row, got none")
    return _samples("table", path, path, root, tuple(rows), rows, {}, outside)


@dataclass(frozen=True)
class _Pictures:
    """The source behind `LazySamples`; mappings go by an image's name, relative to `root`.

    `masks` holds (name, file) pairs.
    """

    source: str
    root: Path
    table: Path | None
    names: tuple[str, ...]
    ids: tuple[str, ...]
    rows: Mapping[str, Sequence[Row]]
    masks: Mapping[str, Sequence[tuple[str | None, Path]]]
    labels: Path | None

    def describe(self, places: Sequence[int]) -> object:
        chosen = [self.names[place] for place in places]
        labels = {} if self.labels is None else {"labels": content_hash(self.labels)}
        return labels | {
            "source": self.source,
            "table": content_hash(self.table),
            "images": [[name, (self.root / name).stat().st_size] for name in chosen],
            "masks": [
                [Path(name).stem, called, mask.stat().st_size]
                for name in chosen
                for called, mask in self.masks.get(name, ())
            ]
            + [
                [row.mask, (self.root / row.mask).stat().st_size]
                for name in chosen
                for row in self.rows.get(name, ())
                if row.mask is not None
            ],
        }

    def read(self, place: int) -> Sample:
        name = self.names[place]
        image = open_image(self.root / name)
        rows = self.rows.get(name, ())
        masks = len(self.masks.get(name, ())) + len({_key(row) for row in rows} - {None})
        check_masks(masks, image.size, str(self.root / name))
        objects = [
            mask_object(called or _named(rows), mask, str(mask), image.size)
            for called, mask in self.masks.get(name, ())
        ]
        described: dict[object, int] = {}
        for row in rows:
            key = _key(row)
            if key is not None and key not in described:
                described[key] = len(objects)
                objects.append(self._described_object(row, image))
        return Sample(
            id=self.ids[place],
            image=image,
            objects=tuple(objects),
            questions=tuple(
                Question(row.question, row.answer, row.kind, about)
                for row, about in ((row, _about(row, objects, described)) for row in rows)
                if row.question is not None and row.answer is not None
            ),
            meta={"source": self.source, "file_name": name},
        )

    def _described_object(self, row: Row, image: Image.Image) -> Object:
        """The object that a row describes by a mask or a box."""
        name = row.object or UNNAMED
        if row.mask is not None:
            file = self.root / row.mask
            return mask_object(name, file, str(file), image.size)
        assert row.box is not None
        mask = box_mask(row.box, *image.size)
        if not mask.any() or beyond(row.box, *image.size) > slack(*image.size):
            raise InputError(
                f"{row.where}: expected a box x0 y0 x1 y1 that lies in {row.image} "
                f"({image.width}x{image.height}) and covers a pixel, got {row.box}"
            )
        return Object(name, mask, cut_box(row.box, *image.size), boxed=True)


def _samples(
    source: str,
    path: Path,
    asked: Path | None,
    root: Path,
    names: tuple[str, ...],
    rows: Mapping[str, Sequence[Row]],
    masks: Mapping[str, Sequence[tuple[str | None, Path]]],
    outside: bool,
    labels: Path | None = None,
) -> LazySamples:
    for row in (row for name in names for row in rows.get(name, ())):
        if row.mask is not None and not (root / row.mask).is_file():
            raise InputError(
                f"{row.where}: expected the file of a mask in {root}, got {row.mask!r}"
            )
    ids = tuple(_id(name, rows.get(name, ())) for name in names)
    taken: dict[str, str] = {}
    for name, ident in zip(names, ids, strict=True):
        if taken.setdefault(ident, name) != name:
            raise InputError(
                f"{asked}: expected different ids, got {ident!r} for {taken[ident]} and {name}"
            )
    pictures = _Pictures(source, root, asked, names, ids, rows, masks, labels)
    name = f"{'outside:' if outside else ''}{source}:{path}"
    return LazySamples(name, pictures.read, pictures.describe, range(len(names)))


def _id(name: str, rows: Sequence[Row]) -> str:
    given = {row.id for row in rows if row.id is not None}
    if len(given) > 1:
        raise InputError(
            f"{rows[0].where}: expected one id for all questions of {name}, got "
            f"{' and '.join(sorted(given))}"
        )
    return given.pop() if given else name


def _masks(root: Path, files: Sequence[Path]) -> dict[str, list[tuple[str | None, Path]]]:
    of_stem: dict[str, list[tuple[str | None, Path]]] = {file.stem: [] for file in files}
    shared = {stem for stem, count in Counter(file.stem for file in files).items() if count > 1}
    entries = sorted((root / "masks").iterdir()) if (root / "masks").is_dir() else []
    for entry in entries:
        inner = entry.is_dir()
        if entry.name.startswith(".") or not (inner or entry.suffix.lower() == ".png"):
            continue
        stem = entry.name if inner else entry.stem
        if stem not in of_stem:
            raise InputError(
                f"{entry}: expected a mask named after an image in {root}, got {stem!r}: "
                "rename or remove it"
            )
        if stem in shared:
            raise InputError(
                f"{entry}: expected a mask of one image, got several images called {stem!r}: "
                "rename all but one"
            )
        if inner:
            of_stem[stem] += [(mask.stem, mask) for mask in sorted(entry.glob("*.png"))]
        else:
            of_stem[stem].append((None, entry))
    return {file.name: of_stem[file.stem] for file in files}


def _named(rows: Sequence[Row]) -> str:
    names = {row.object for row in rows if row.object and _key(row) is None}
    if len(names) > 1:
        raise InputError(
            f"{rows[0].where}: expected one object for the one mask of {rows[0].image}, got "
            f"{' and '.join(sorted(names))}: put masks at masks/{Path(rows[0].image).stem}/NAME.png"
        )
    return names.pop() if names else UNNAMED


def _key(row: Row) -> object:
    """Identifies the object that a row describes; None if it describes none."""
    return None if row.box is None and row.mask is None else (row.object, row.box, row.mask)


def _about(row: Row, objects: Sequence[Object], described: Mapping[object, int]) -> tuple[int, ...]:
    if row.about is not None:
        if any(index >= len(objects) for index in row.about):
            raise InputError(
                f"{row.where}: expected about as indices of the {len(objects)} objects of "
                f"{row.image}, from 0, got {list(row.about)}"
            )
        return row.about
    if (key := _key(row)) is not None:
        return (described[key],)
    if row.object is None:
        return (0,) if len(objects) == 1 else ()
    indices = tuple(index for index, obj in enumerate(objects) if obj.name == row.object)
    if not indices:
        raise InputError(
            f"{row.where}: expected the name of an object of {row.image} "
            f"({', '.join(obj.name for obj in objects) or 'it has none'}), got {row.object!r}"
        )
    return indices
