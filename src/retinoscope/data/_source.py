"""Data sources by name: what the command line calls DATA."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .. import arguments
from ..errors import InputError
from ._ade20k import ade20k
from ._by_color import ByColor, by_color
from ._coco import coco
from ._datasets import open_dataset
from ._folder import folder, table
from ._lazy import LazySamples
from ._sample import Sample
from ._squares import Squares, squares
from ._table import SUFFIXES
from ._visual_genome import visual_genome
from ._voc import voc
from .scenes import Grounded, SceneOptions, Scenes, grounded
from .viewing import collected, gaze, simulated, vista

FORMS = (
    "scenes:N (N drawn scenes), coco:FOLDER (COCO's annotations and images), vg:FOLDER (Visual "
    "Genome), voc:FOLDER (Pascal VOC's segmentation), ade20k:FOLDER (ADE20K's scene parsing), "
    "folder:PATH (plain images), table:FILE (questions in CSV, JSONL or parquet), "
    "datasets:NAME_OR_PATH[:SPLIT], vista:FOLDER, gaze:FOLDER or collected:FOLDER "
    "(where people looked), color:DATA (any of these, objects named by their colours), "
    "outside:DATA (files that DATA names may lie anywhere), "
    "simulated:N (scenes with simulated observers), grounded:N (scenes on water and land) or "
    "squares:N (images for the planted models)"
)


def _voc(path: str) -> LazySamples:
    file = Path(path).expanduser()
    if file.suffix == ".txt":
        # VOC2012/ImageSets/Segmentation/train.txt names the folder and the split.
        return voc(file.absolute().parent.parent.parent, split=file.stem)
    return voc(file)


def _ade20k(path: str) -> LazySamples:
    folder = Path(path).expanduser()
    if folder.parent.name in ("images", "annotations"):
        return ade20k(folder.absolute().parent.parent, split=folder.name)
    return ade20k(folder)


_SOURCES: dict[str, Callable[[str], Sequence[Sample]]] = {
    "vg": visual_genome,
    "voc": _voc,
    "ade20k": _ade20k,
    "folder": folder,
    "table": table,
    "datasets": open_dataset,
    "vista": vista,
    "gaze": gaze,
    "collected": collected,
}


def scenes(
    n: int,
    seed: int = 0,
    *,
    start: int = 0,
    min_objects: int = 1,
    max_objects: int = 5,
    occlusion: bool = False,
    signs: float = 0.15,
) -> Scenes:
    """Drawn scenes `start` to `start + n - 1` of `seed`, each drawn when it is asked for.

    Scene k of a seed is the same on every machine, and does not depend on n.

    Args:
        n: how many.
        seed: of the whole world.
        start: number of the first one.
        min_objects, max_objects: of a scene, 1 to 5.
        occlusion: let objects cover up to 35% of the visible pixels of others.
        signs: share of scenes that have a sign with a word.

    Raises:
        InputError: a number outside its range.
    """
    options = SceneOptions(
        min_objects=min_objects, max_objects=max_objects, occlusion=occlusion, signs=signs
    )
    return Scenes(n, seed, options, start)


def open_source(spec: str, seed: int = 0) -> Sequence[Sample]:
    """The samples that `spec` names.

    "scenes:N", "coco:FOLDER", "vg:FOLDER", "voc:FOLDER", "ade20k:FOLDER", "folder:PATH",
    "table:FILE", "datasets:NAME_OR_PATH[:SPLIT]", "squares:N", "grounded:N", "vista:FOLDER",
    "gaze:FOLDER", "collected:FOLDER" or "simulated:N": see `scenes`, `coco`, `visual_genome`,
    `voc`, `ade20k`, `folder`, `table`, `dataset`, `squares`, `grounded` (a balanced set), `vista`,
    `gaze`, `collected` and `simulated`. In place of COCO's folder, `coco:` takes the path of one
    instances file, for a folder that holds several; likewise `voc:` the file of a split
    (ImageSets/Segmentation/train.txt) and `ade20k:` the folder of one (annotations/training).
    `seed` is that of drawn scenes and squares and without effect on the others;
    "simulated:N:SEED" names its own. "color:" before any of them names objects by their colours
    (`by_color`); "outside:" before coco, vista, table, folder or datasets lets the files that these
    name lie outside their folder.

    Raises:
        InputError: another form, or no data there.
        MissingExtraError: "datasets:" without the package datasets.
    """
    arguments.seed(seed)
    kind, colon, rest = arguments.text(spec, "data").partition(":")
    if not colon or not rest.strip():
        hint = _hint(spec)
        raise InputError(f"expected data as {FORMS}, got {spec!r}{hint}")
    if kind == "scenes":
        return scenes(_number("scenes", spec, rest), seed)
    if kind == "squares":
        return squares(_number("squares", spec, rest), seed)
    if kind == "grounded":
        # Balanced: each object as often on its own ground as on the other.
        return grounded(_number("grounded", spec, rest), seed, correlation=None)
    if kind == "simulated":
        return _simulated(spec, rest, seed)
    if kind == "color":
        return by_color(open_source(rest, seed))
    if kind == "outside":
        return _outside(spec, rest)
    if kind == "coco":
        return _coco(rest)
    if kind in _SOURCES:
        return _SOURCES[kind](rest)
    raise InputError(f"expected data as {FORMS}, got {spec!r}")


def source_of(samples: Sequence[Sample]) -> dict[str, str | int] | None:
    """The arguments that open the same samples again: `spec`, `seed` and `limit`.

    None for samples that `open_source` cannot name, such as a list or scenes with other options.
    """
    if isinstance(samples, ByColor):
        inner = source_of(samples.samples)
        return None if inner is None else inner | {"spec": f"color:{inner['spec']}"}
    if isinstance(samples, Scenes):
        named = samples.start == 0 and samples.options == SceneOptions() and samples.n > 0
        return {"spec": f"scenes:{samples.n}", "seed": samples.seed} if named else None
    if isinstance(samples, Squares):
        named = samples.start == 0 and samples.n > 0
        return {"spec": f"squares:{samples.n}", "seed": samples.seed} if named else None
    if isinstance(samples, Grounded):
        plain = samples.correlation is None and not samples.swapped
        named = plain and samples.start == 0 and samples.n > 0
        return {"spec": f"grounded:{samples.n}", "seed": samples.seed} if named else None
    if isinstance(samples, LazySamples) and (samples.places.start, samples.places.step) == (0, 1):
        return {"spec": samples.name, "limit": len(samples)}
    return None


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


def _number(kind: str, spec: str, number: str) -> int:
    # No scene has a number of more than 32 bits; Python refuses numbers of thousands of digits.
    if not (number.isascii() and number.isdecimal() and len(number) < 11) or int(number) == 0:
        raise InputError(f"expected {kind}:N with a whole number N from 1 to 2**32, got {spec!r}")
    return int(number)


def _simulated(spec: str, rest: str, seed: int) -> LazySamples:
    number, _, own = rest.partition(":")
    n = _number("simulated", spec, number)
    return simulated(n, seed if not own or own == "0" else _number("simulated:N", spec, own))


def _coco(path: str, *, outside: bool = False) -> LazySamples:
    file = Path(path).expanduser()
    if file.suffix == ".json":
        folder = file.absolute().parent.parent
        return coco(folder, annotations=file.absolute(), outside=outside)
    return coco(file, outside=outside)


_NAMING: dict[str, Callable[..., LazySamples]] = {
    "coco": _coco,
    "datasets": open_dataset,
    "folder": folder,
    "table": table,
    "vista": vista,
}
"""Sources whose files name other files."""


def _outside(spec: str, inner: str) -> LazySamples:
    kind, colon, rest = inner.partition(":")
    if kind not in _NAMING or not colon:
        raise InputError(f"expected outside: before {', '.join(_NAMING)}, got {spec!r}")
    return _NAMING[kind](rest, outside=True)
