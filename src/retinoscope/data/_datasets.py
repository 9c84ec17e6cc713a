"""Datasets of the library `datasets`: rows with an image, questions and objects."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from PIL import Image

from ..errors import InputError, MissingExtraError
from ..hub import unreachable
from ._about import about_by_name
from ._dataset_objects import Boxes, label_names, objects_of
from ._sample import Object, Question, Sample
from .images import open_image
from .lazy import LazySamples
from .schema import inside

if TYPE_CHECKING:
    import datasets

COMMON = {
    "image": ("image", "img", "picture", "jpg", "png"),
    "question": ("question", "questions", "query", "prompt"),
    "answer": ("answer", "answers", "multiple_choice_answer"),
    "objects": ("objects",),
    "kind": ("kind",),
}
"""Column names that are recognised by default; the first one present is used."""
_AT_ONCE = 256
"""Rows read at a time for a fingerprint."""


def dataset(
    ds: datasets.Dataset,
    *,
    image: str | None = None,
    question: str | None = None,
    answer: str | None = None,
    objects: str | None = None,
    kind: str | None = None,
    id: str | None = None,
    boxes: Literal["xywh", "xyxy"] = "xywh",
    name: str = "dataset",
) -> LazySamples:
    """Samples of a `datasets.Dataset`, one per row, read on access.

    `image` to `id` name columns. Unless named, columns are found by `COMMON`; images are required,
    the rest is optional, and questions need answers. Images are decoded here, from their bytes or
    files: turned upright, transparency on white.

    A row has one question, or a list of questions and a list of as many answers. Of several answers
    to one question, the most frequent counts, and of equally frequent ones the first.

    `objects` is a list of objects, or an object of lists, with a name ("name", "category", "label"
    or "class": text, or a number of a ClassLabel) and one of "bbox" or "box" (four numbers, see
    `boxes`), "mask" (an image, 0 outside) and "segmentation" (as in COCO); optionally "color" and
    "iscrowd" (crowds are left out and named in `meta["crowds"]`; objects that cover no pixel are
    named in `meta["unseen"]`). Objects with only a box have `Object.boxed` True. A question is
    about the one object that its answer names, or else the one that it names itself.

    Args:
        ds: one split, with random access.
        id: the column of sample ids, all different; by default the row's number.
        boxes: the meaning of a box: x, y, width, height as in COCO, or x0, y0, x1, y1.
        name: the name of the data in `repr`.

    Raises:
        MissingExtraError: without the package datasets.
        InputError: several splits, a stream, no such column, no column of images, duplicate ids; on
            access, an unreadable image or values of the wrong form.
    """
    _require_one_split(ds)
    given = {"image": image, "question": question, "answer": answer, "objects": objects}
    columns = _columns(ds.column_names, given | {"kind": kind, "id": id})
    if boxes not in ("xywh", "xyxy"):
        raise InputError(f"boxes must be 'xywh' or 'xyxy', got {boxes!r}")
    # In arrow format a row comes as stored, so nothing is decoded needlessly.
    table = ds.select_columns([name for name in columns.values() if name]).with_format("arrow")
    labels = label_names(ds.features[columns["objects"]]) if columns["objects"] else {}
    source = _Dataset(table, columns, labels, boxes)
    if id is not None:
        source.check_ids()
    return LazySamples(f"datasets:{name}", source.read, source.describe, range(len(ds)))


def _require_one_split(ds: object) -> None:
    """Raises InputError unless `ds` is one nonempty split; needs the package datasets."""
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("datasets", "data") from error
    if isinstance(ds, datasets.DatasetDict):
        raise InputError(
            f"expected one split of a dataset, got all: choose one of {', '.join(map(str, ds))} as "
            "ds['NAME'], on the command line datasets:NAME_OR_PATH:SPLIT"
        )
    if not isinstance(ds, datasets.Dataset):
        raise InputError(
            f"expected a datasets.Dataset, got a {type(ds).__name__}: a stream has no random "
            "access; load it without streaming=True"
        )
    if len(ds) == 0:
        raise InputError("expected at least one row, got an empty dataset: give other data")


def open_dataset(spec: str, *, outside: bool = False) -> LazySamples:
    """Opens the dataset NAME_OR_PATH or NAME_OR_PATH:SPLIT: a folder, or a name on the Hub.

    A folder was written by `save_to_disk`, or has data files. The split may be omitted if there is
    only one.

    Args:
        outside: allow rows to name images anywhere on this machine, instead of only in the folder
            and in the cache of `datasets`.

    Raises:
        MissingExtraError: without the package datasets.
        InputError: no such dataset, no such split, several splits and none named, a dataset with
            code (which is never run), or what `dataset` raises.
    """
    try:
        import datasets
        from datasets.config import HF_DATASETS_CACHE
        from huggingface_hub.constants import HF_HUB_CACHE
    except ImportError as error:
        raise MissingExtraError("datasets", "data") from error
    path, split = spec, None
    if not Path(spec).expanduser().exists() and ":" in spec:
        path, _, split = spec.rpartition(":")
    local = Path(path).expanduser()
    try:
        cached = Path(HF_DATASETS_CACHE) / path.replace("/", "___")
        if not (local.exists() or cached.exists()) and (error := unreachable(path, "dataset")):
            raise error
        loaded = _saved(local) if local.is_dir() else _loaded(path)
    except InputError:
        raise
    except Exception as error:  # The library raises many types, its own and the network's.
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"datasets:{spec}: expected a folder of save_to_disk or a dataset on the Hub, got "
            f"neither ({first}): check the name, and the network"
        ) from error
    if isinstance(loaded, datasets.DatasetDict):
        loaded = _split({str(key): split_ for key, split_ in loaded.items()}, split, spec)
    elif split is not None:
        raise InputError(f"datasets:{spec}: expected no split, got {split!r}: {path} has only one")
    made = dataset(loaded, name=spec)
    if outside:
        return replace(made, name=f"outside:{made.name}")
    roots = (local, HF_DATASETS_CACHE, HF_HUB_CACHE)
    source = replace(_of(made), roots=tuple(Path(root).resolve() for root in roots))
    return replace(made, read=source.read)


def _of(made: LazySamples) -> _Dataset:
    source = made.read.__self__  # type: ignore[attr-defined]
    assert isinstance(source, _Dataset)
    return source


@dataclass(frozen=True, eq=False)
class _Dataset:
    """The source behind `LazySamples`.

    `columns` has None for missing columns; `roots` are the folders in which files may lie, None for
    anywhere.
    """

    table: datasets.Dataset
    columns: Mapping[str, str | None]
    labels: Mapping[str, Sequence[str]]
    boxes: Boxes
    roots: tuple[Path, ...] | None = None

    def read(self, place: int) -> Sample:
        row = self.table[place : place + 1].to_pylist()[0]  # type: ignore[union-attr]
        ident = place if (column := self.columns["id"]) is None else row[column]
        where = f"row {place}"
        image = self._image(row[self.columns["image"]], where)
        objects: tuple[Object, ...] = ()
        crowds: tuple[str, ...] = ()
        unseen: tuple[str, ...] = ()
        if (column := self.columns["objects"]) is not None:
            objects, crowds, unseen = objects_of(
                row[column], self.labels, image.size, self.boxes, f"{where}: {column}", self.check
            )
        return Sample(
            id=str(ident),
            image=image,
            objects=objects,
            questions=self._questions(row, objects, where),
            meta={"source": "datasets", "row": place, "crowds": crowds, "unseen": unseen},
        )

    def check(self, file: str, where: str) -> None:
        """Raises InputError for a file outside the folders in which it may lie."""
        path = Path(file).expanduser().absolute()
        places = (path.resolve(), Path(os.path.normpath(path)))
        if self.roots is not None and not any(
            place.is_relative_to(root) for root in self.roots for place in places
        ):
            inside(str(path), where)

    def check_ids(self) -> None:
        """Raises InputError for a duplicate id."""
        column = self.columns["id"]
        assert column is not None
        row_of: dict[str, int] = {}
        for start in range(0, len(self.table), 4096):
            rows = self.table.select_columns([column])[start : start + 4096]
            for place, value in enumerate(rows[column].to_pylist(), start=start):  # type: ignore[union-attr]
                if row_of.setdefault(str(value), place) != place:
                    raise InputError(
                        f"expected a different {column!r} in every row, got {value!r} in rows "
                        f"{row_of[str(value)]} and {place}: name another column, or none"
                    )

    def describe(self, places: Sequence[int]) -> object:
        """Every stored value; for images their size in bytes, or their name if they are files."""
        digest = hashlib.sha256()
        for start in range(0, len(places), _AT_ONCE):
            chosen = self.table.select(places[start : start + _AT_ONCE])
            for row in chosen[:].to_pylist():  # type: ignore[union-attr]
                digest.update(json.dumps(row, sort_keys=True, default=_hashable).encode() + b"\n")
        return {
            "source": "datasets",
            "columns": dict(self.columns),
            "labels": {name: list(names) for name, names in self.labels.items()},
            "boxes": self.boxes,
            "rows": digest.hexdigest(),
        }

    def _image(self, stored: object, where: str) -> Image.Image:
        source = stored.get("bytes") or stored.get("path") if isinstance(stored, dict) else stored
        if not isinstance(source, str | bytes):
            raise InputError(
                f"{where}: expected an image in the column {self.columns['image']!r}, got "
                f"{'none' if source is None else 'a ' + type(source).__name__}"
            )
        if isinstance(source, str):
            self.check(source, where)
        try:
            return open_image(source)
        except InputError as error:
            raise InputError(f"{where}: {error}") from error

    def _questions(
        self, row: Mapping[str, object], objects: Sequence[Object], where: str
    ) -> tuple[Question, ...]:
        column = self.columns["question"]
        if column is None or row[column] is None:
            return ()
        asked, answered = row[column], row[str(self.columns["answer"])]
        kinds = row[self.columns["kind"]] if self.columns["kind"] is not None else None
        if isinstance(asked, str):
            asked, answered, kinds = [asked], [answered], [kinds]
        elif kinds is None:
            kinds = [None] * len(asked) if isinstance(asked, list) else None
        if not all(isinstance(part, list) for part in (asked, answered, kinds)):
            raise InputError(
                f"{where}: expected {column!r} as a text, or as a list with a list of answers, got "
                f"a {type(asked).__name__} and a {type(answered).__name__}"
            )
        if not len(asked) == len(answered) == len(kinds):  # type: ignore[arg-type]
            raise InputError(
                f"{where}: expected as many answers as questions, got {len(answered)} answers to "  # type: ignore[arg-type]
                f"{len(asked)} questions"  # type: ignore[arg-type]
            )
        names = [obj.name for obj in objects]
        result = []
        for question, stored, kind in zip(asked, answered, kinds, strict=True):  # type: ignore[arg-type]
            answer, kind = _answer(stored, where), str(kind or "question")
            about = about_by_name(str(question), answer, kind, names)
            result.append(Question(str(question), answer, kind, about))
        return tuple(result)


def _columns(present: Sequence[str], given: Mapping[str, str | None]) -> dict[str, str | None]:
    got = f"the dataset has {', '.join(present)}"
    columns: dict[str, str | None] = {}
    for role, column in given.items():
        if column is not None and column not in present:
            raise InputError(f"expected {role}={column!r} to be a column, but {got}: name another")
        columns[role] = column or next((c for c in COMMON.get(role, ()) if c in present), None)
    if columns["image"] is None:
        raise InputError(
            f"expected a column of images ({', '.join(COMMON['image'])}), but {got}: name it as "
            "rs.data.dataset(ds, image=...)"
        )
    if (columns["question"] is None) != (columns["answer"] is None):
        missing = "answer" if columns["answer"] is None else "question"
        has = "question" if missing == "answer" else "answer"
        raise InputError(
            f"expected a column of {missing}s ({', '.join(COMMON[missing])}) beside "
            f"{columns[has]!r}, but {got}: name it as rs.data.dataset(ds, {missing}=...)"
        )
    return columns


def _answer(stored: object, where: str) -> str:
    several = stored if isinstance(stored, list) else [stored]
    texts = [item.get("answer") if isinstance(item, dict) else item for item in several]
    texts = [str(text) for text in texts if isinstance(text, str | int) and str(text)]
    if not texts or len(texts) < len(several):
        raise InputError(
            f"{where}: expected an answer as a text, or as a list of texts, got "
            f"{str(stored)[:60]!r}: leave the row out"
        )
    # max returns the first of equals.
    return max(texts, key=texts.count)


def _hashable(value: object) -> object:
    """A stand-in for a value without a JSON form, for a fingerprint."""
    return len(value) if isinstance(value, bytes) else str(value)


def _saved(folder: Path) -> Any:
    import datasets

    if (folder / "dataset_info.json").is_file() or (folder / "dataset_dict.json").is_file():
        return datasets.load_from_disk(str(folder))
    scripts = sorted(folder.glob("*.py"))
    if scripts:
        raise InputError(
            f"{scripts[0]}: expected data without code, got a loading script, which is never run: "
            "remove it, or save its data with save_to_disk"
        )
    return _loaded(str(folder))


def _loaded(name: str) -> Any:
    import datasets

    load: Callable[..., Any] = datasets.load_dataset
    if int(datasets.__version__.split(".")[0]) < 4:
        # Later versions never run a dataset's code, and lack the argument.
        return load(name, trust_remote_code=False)
    return load(name)


def _split(
    splits: Mapping[str, datasets.Dataset], split: str | None, spec: str
) -> datasets.Dataset:
    if split is None and len(splits) == 1:
        return next(iter(splits.values()))
    if split is None or split not in splits:
        raise InputError(
            f"datasets:{spec}: expected a split ({', '.join(splits)}), got {split or 'none'}: "
            f"write datasets:{spec.removesuffix(f':{split}')}:{next(iter(splits))}"
        )
    return splits[split]
