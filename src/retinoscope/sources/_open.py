"""Data sources by name: what the command line calls DATA."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import arguments, gaze
from ..data import (
    ByColor,
    Grounded,
    LazySamples,
    Sample,
    SceneOptions,
    Scenes,
    Squares,
    ade20k,
    by_color,
    coco,
    folder,
    grounded,
    open_dataset,
    scenes,
    squares,
    table,
    visual_genome,
    voc,
)
from ..data.tabular import SUFFIXES
from ..errors import InputError


@dataclass(frozen=True)
class _Kind:
    """A form of DATA: how it is written, what it is, and the function that opens it.

    `opened` takes what follows the colon, and the seed or, of `files`, nothing else. `outside` says
    that the source's files name other files, which may lie anywhere if asked.
    """

    form: str
    about: str
    opened: Callable[..., Sequence[Sample]]
    files: bool = True
    outside: bool = False


def open_source(spec: str, seed: int = 0) -> Sequence[Sample]:
    """The samples that `spec` names, such as "scenes:100" or "coco:FOLDER".

    In place of COCO's folder, `coco:` takes the path of one instances file, for a folder that holds
    several; likewise `voc:` the file of a split (ImageSets/Segmentation/train.txt) and `ade20k:`
    the folder of one (annotations/training). `seed` is that of drawn scenes and squares and without
    effect on the others; "simulated:N:SEED" names its own. "color:" before any of them names
    objects by their colours (`by_color`); "outside:" before coco, vista, table, folder or datasets
    lets the files that these name lie outside their folder.

    Raises:
        InputError: another form, which lists all of them, or no data there.
        MissingExtraError: "datasets:" without the package datasets.
    """
    arguments.seed(seed)
    name, colon, rest = arguments.text(spec, "data").partition(":")
    kind = KINDS.get(name)
    if kind is None or not colon or not rest.strip():
        forms = ", ".join(f"{one.form} ({one.about})" for one in KINDS.values())
        raise InputError(f"expected data as {forms}; got {spec!r}{'' if colon else _hint(spec)}")
    return kind.opened(rest) if kind.files else kind.opened(rest, seed)


def source_of(samples: Sequence[Sample]) -> dict[str, str | int] | None:
    """The arguments that open the same samples again: `spec`, `seed` and `limit`.

    None for samples that `open_source` cannot name, such as a list or scenes with other options.
    """
    match samples:
        case ByColor(samples=inner):
            source = source_of(inner)
            return None if source is None else source | {"spec": f"color:{source['spec']}"}
        case Scenes(start=0, n=n) if n and samples.options == SceneOptions():
            return {"spec": f"scenes:{n}", "seed": samples.seed}
        case Squares(start=0, n=n) if n:
            return {"spec": f"squares:{n}", "seed": samples.seed}
        case Grounded(start=0, n=n, correlation=None, swapped=False) if n:
            return {"spec": f"grounded:{n}", "seed": samples.seed}
        case LazySamples(places=range(start=0, step=1)):
            return {"spec": samples.name, "limit": len(samples)}
    return None


def source_name(samples: Sequence[Sample]) -> str:
    """The name of the data: "table:FILE", or that it was made in Python."""
    named = getattr(samples, "name", None)
    if isinstance(named, str):
        return named
    source = source_of(samples)
    return "samples given in Python" if source is None else str(source["spec"])


def reopen_source(source: Mapping[str, object]) -> Sequence[Sample]:
    """The samples that `source_of` described.

    Raises:
        InputError: another form, or no data there any more.
    """
    spec, seed, limit = (source.get(name) for name in ("spec", "seed", "limit"))
    if not isinstance(spec, str):
        raise InputError(f"expected a data source with a 'spec', got the keys {sorted(source)}")
    samples = open_source(spec, seed if isinstance(seed, int) else 0)
    return samples[:limit] if isinstance(limit, int) else samples


def _hint(spec: str) -> str:
    """What a bare path could have meant."""
    if not spec or not Path(spec).exists():
        return ""
    if Path(spec).is_dir():
        return f": did you mean folder:{spec}?"
    return f": did you mean table:{spec}?" if Path(spec).suffix in SUFFIXES else ""


def _number(kind: str, number: str) -> int:
    # No scene has a number of more than 32 bits; Python refuses numbers of thousands of digits.
    if not (number.isascii() and number.isdecimal() and len(number) < 11) or int(number) == 0:
        got = f"{kind.partition(':')[0]}:{number}"
        raise InputError(f"expected {kind} with a whole number from 1 to 2**32, got {got!r}")
    return int(number)


def _simulated(rest: str, seed: int) -> LazySamples:
    number, _, own = rest.partition(":")
    n = _number("simulated:N", number)
    return gaze.simulated(n, seed if not own or own == "0" else _number("simulated:N:SEED", own))


def _coco(path: str, *, outside: bool = False) -> LazySamples:
    file = Path(path).expanduser().absolute()
    if file.suffix == ".json":
        return coco(file.parent.parent, annotations=file, outside=outside)
    return coco(path, outside=outside)


def _voc(path: str) -> LazySamples:
    file = Path(path).expanduser()
    if file.suffix == ".txt":
        # VOC2012/ImageSets/Segmentation/train.txt names the folder and the split.
        return voc(file.absolute().parent.parent.parent, split=file.stem)
    return voc(path)


def _ade20k(path: str) -> LazySamples:
    folder = Path(path).expanduser()
    if folder.parent.name in ("images", "annotations"):
        return ade20k(folder.absolute().parent.parent, split=folder.name)
    return ade20k(path)


def _outside(inner: str) -> Sequence[Sample]:
    name, colon, rest = inner.partition(":")
    kind = KINDS.get(name)
    if kind is None or not kind.outside or not colon:
        those = ", ".join(name for name, one in KINDS.items() if one.outside)
        raise InputError(f"expected outside: before {those}, got {f'outside:{inner}'!r}")
    return kind.opened(rest, outside=True)


def _drawn(name: str, about: str, made: Callable[[int, int], Sequence[Sample]]) -> _Kind:
    form = f"{name}:N"
    return _Kind(form, about, lambda n, seed: made(_number(form, n), seed), files=False)


def _balanced(n: int, seed: int) -> Grounded:
    """Each object as often on its own ground as on the other."""
    return grounded(n, seed, correlation=None)


def _colored(inner: str, seed: int) -> ByColor:
    return by_color(open_source(inner, seed))


KINDS: Mapping[str, _Kind] = {
    "scenes": _drawn("scenes", "N drawn scenes", scenes),
    "coco": _Kind("coco:FOLDER", "COCO's annotations and images", _coco, outside=True),
    "vg": _Kind("vg:FOLDER", "Visual Genome", visual_genome),
    "voc": _Kind("voc:FOLDER", "Pascal VOC's segmentation", _voc),
    "ade20k": _Kind("ade20k:FOLDER", "ADE20K's scene parsing", _ade20k),
    "folder": _Kind("folder:PATH", "plain images", folder, outside=True),
    "table": _Kind("table:FILE", "questions in CSV, JSONL or parquet", table, outside=True),
    "datasets": _Kind(
        "datasets:NAME_OR_PATH[:SPLIT]", "of the package datasets", open_dataset, outside=True
    ),
    "vista": _Kind("vista:FOLDER", "where people looked, as VISTA", gaze.vista, outside=True),
    "gaze": _Kind("gaze:FOLDER", "where people looked, as SALICON or MIT1003", gaze.folder),
    "collected": _Kind("collected:FOLDER", "where people looked, collected", gaze.collected),
    "color": _Kind(
        "color:DATA", "any of these, objects named by their colours", _colored, files=False
    ),
    "outside": _Kind("outside:DATA", "files that DATA names may lie anywhere", _outside),
    "simulated": _Kind("simulated:N", "scenes with simulated observers", _simulated, files=False),
    "grounded": _drawn("grounded", "scenes on water and land", _balanced),
    "squares": _drawn("squares", "images for the planted models", squares),
}
"""Every form of DATA, by what stands before its colon."""
