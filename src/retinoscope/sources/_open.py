"""Data sources by name (what the command line calls DATA)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import arguments, gaze
from ..data import (
    BoardOptions,
    ByColor,
    Grounded,
    LazySamples,
    Sample,
    SceneOptions,
    Scenes,
    Squares,
    WordBoards,
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
    words,
)
from ..data.scenes import VARIED
from ..data.tabular import SUFFIXES
from ..errors import InputError


@dataclass(frozen=True)
class _SourceKind:
    """A form of DATA: how it is written, what it is, and the function that opens it.

    `opened` takes what follows the colon and, unless `files`, the seed. `outside` marks sources
    whose files name other files, which may be allowed to lie anywhere.
    """

    form: str
    about: str
    opened: Callable[..., Sequence[Sample]]
    files: bool = True
    outside: bool = False


def open_source(spec: str, seed: int = 0) -> Sequence[Sample]:
    """Opens the samples that `spec` names, such as "scenes:100" or "coco:FOLDER".

    `coco:` also takes the path of one instances file, for a folder that holds several; `voc:` the
    file of a split (ImageSets/Segmentation/train.txt) and `ade20k:` the folder of one
    (annotations/training). `seed` applies to drawn scenes and squares only; "simulated:N:SEED" has
    its own. "color:" before any of them names objects by their colours (`by_color`); "outside:"
    before coco, vista, table, folder or datasets allows the files that these name to lie outside
    their folder.

    Raises:
        InputError: an unknown form (the message lists all of them), or no data there.
        MissingExtraError: "datasets:" without the package datasets.
    """
    arguments.seed(seed)
    name, colon, rest = arguments.text(spec, "data").partition(":")
    kind = KINDS.get(name)
    if kind is None or not colon or not rest.strip():
        forms = ", ".join(f"{form.form} ({form.about})" for form in KINDS.values())
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
        case Scenes(start=0, n=n) if n and samples.options == VARIED:
            return {"spec": f"varied:{n}", "seed": samples.seed}
        case Squares(start=0, n=n) if n:
            return {"spec": f"squares:{n}", "seed": samples.seed}
        case WordBoards(start=0, n=n) if n and samples.options == BoardOptions():
            return {"spec": f"words:{n}", "seed": samples.seed}
        case Grounded(start=0, n=n, correlation=None, swapped=False) if n:
            return {"spec": f"grounded:{n}", "seed": samples.seed}
        case LazySamples(places=range(start=0, step=1)):
            return {"spec": samples.name, "limit": len(samples)}
    return None


def source_name(samples: Sequence[Sample]) -> str:
    """The name of the data, such as "table:FILE", or that it was created in Python."""
    name = getattr(samples, "name", None)
    if isinstance(name, str):
        return name
    source = source_of(samples)
    return "samples given in Python" if source is None else str(source["spec"])


def reopen_source(source: Mapping[str, object]) -> Sequence[Sample]:
    """Opens the samples that `source_of` described.

    Raises:
        InputError: an unknown form, or the data is no longer there.
    """
    spec, seed, limit = (source.get(name) for name in ("spec", "seed", "limit"))
    if not isinstance(spec, str):
        raise InputError(f"expected a data source with a 'spec', got the keys {sorted(source)}")
    samples = open_source(spec, seed if isinstance(seed, int) else 0)
    return samples[:limit] if isinstance(limit, int) else samples


def _hint(spec: str) -> str:
    """Suggests a source for a bare path."""
    if not spec or not Path(spec).exists():
        return ""
    if Path(spec).is_dir():
        return f": did you mean folder:{spec}?"
    return f": did you mean table:{spec}?" if Path(spec).suffix in SUFFIXES else ""


def _number(kind: str, number: str) -> int:
    # Scene numbers have at most 32 bits, and Python refuses to parse thousands of digits.
    if not (number.isascii() and number.isdecimal() and len(number) < 11) or int(number) == 0:
        got = f"{kind.partition(':')[0]}:{number}"
        raise InputError(f"expected {kind} with a whole number from 1 to 2**32, got {got!r}")
    return int(number)


def _simulated(rest: str, seed: int) -> LazySamples:
    number, _, own_seed = rest.partition(":")
    n = _number("simulated:N", number)
    return gaze.simulated(
        n, seed if not own_seed or own_seed == "0" else _number("simulated:N:SEED", own_seed)
    )


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
        allowed = ", ".join(name for name, kind in KINDS.items() if kind.outside)
        raise InputError(f"expected outside: before {allowed}, got {f'outside:{inner}'!r}")
    return kind.opened(rest, outside=True)


def _drawn(name: str, about: str, made: Callable[[int, int], Sequence[Sample]]) -> _SourceKind:
    form = f"{name}:N"
    return _SourceKind(form, about, lambda n, seed: made(_number(form, n), seed), files=False)


def _balanced(n: int, seed: int) -> Grounded:
    """Scenes in which each object is as often on its own background as on the other."""
    return grounded(n, seed, correlation=None)


def _varied(n: int, seed: int) -> Scenes:
    """Scenes with small objects, repeated kinds and grounds."""
    return Scenes(n, seed, VARIED)


def _colored(inner: str, seed: int) -> ByColor:
    return by_color(open_source(inner, seed))


KINDS: Mapping[str, _SourceKind] = {
    "scenes": _drawn("scenes", "N drawn scenes", scenes),
    "coco": _SourceKind("coco:FOLDER", "COCO's annotations and images", _coco, outside=True),
    "vg": _SourceKind("vg:FOLDER", "Visual Genome", visual_genome),
    "voc": _SourceKind("voc:FOLDER", "Pascal VOC's segmentation", _voc),
    "ade20k": _SourceKind("ade20k:FOLDER", "ADE20K's scene parsing", _ade20k),
    "folder": _SourceKind("folder:PATH", "plain images", folder, outside=True),
    "table": _SourceKind("table:FILE", "questions in CSV, JSONL or parquet", table, outside=True),
    "datasets": _SourceKind(
        "datasets:NAME_OR_PATH[:SPLIT]", "from the package datasets", open_dataset, outside=True
    ),
    "vista": _SourceKind(
        "vista:FOLDER", "where people looked, in VISTA's form", gaze.vista, outside=True
    ),
    "gaze": _SourceKind(
        "gaze:FOLDER", "where people looked, as in SALICON or MIT1003", gaze.folder
    ),
    "collected": _SourceKind(
        "collected:FOLDER", "where people looked, collected here", gaze.collected
    ),
    "color": _SourceKind(
        "color:DATA", "any of these, objects named by their colours", _colored, files=False
    ),
    "outside": _SourceKind("outside:DATA", "files that DATA names may lie anywhere", _outside),
    "simulated": _SourceKind(
        "simulated:N", "scenes with simulated observers", _simulated, files=False
    ),
    "grounded": _drawn("grounded", "scenes on water and land", _balanced),
    "varied": _drawn("varied", "scenes with small and repeated objects and grounds", _varied),
    "words": _drawn("words", "boards with words", words),
    "squares": _drawn("squares", "images for the planted models", squares),
}
"""Every form of DATA, by its prefix."""
