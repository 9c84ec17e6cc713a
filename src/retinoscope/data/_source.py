"""Data sources by name: what the command line calls DATA."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from ._coco import coco
from ._folder import folder
from ._lazy import LazySamples
from ._sample import Sample
from .scenes import SceneOptions, Scenes

FORMS = (
    "scenes:N (N drawn scenes), coco:FOLDER (COCO's annotations and images) or folder:PATH "
    "(plain images)"
)


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
    """The samples that `spec` names: "scenes:N", "coco:FOLDER" or "folder:PATH".

    In place of COCO's folder, `coco:` takes the path of one instances file, for a folder that holds
    several. `seed` is that of drawn scenes and without effect on the others.

    Raises:
        InputError: another form, or no data there.
    """
    kind, colon, rest = spec.partition(":")
    if not colon or not rest.strip():
        hint = f": did you mean folder:{spec}?" if spec and Path(spec).is_dir() else ""
        raise InputError(f"expected data as {FORMS}, got {spec!r}{hint}")
    if kind == "scenes":
        return _scenes(spec, rest, seed)
    if kind == "coco":
        return _coco(rest)
    if kind == "folder":
        return folder(rest)
    raise InputError(f"expected data as {FORMS}, got {spec!r}")


def _scenes(spec: str, number: str, seed: int) -> Scenes:
    # No scene has a number of more than 32 bits; Python refuses numbers of thousands of digits.
    if not (number.isascii() and number.isdecimal() and len(number) < 11) or int(number) == 0:
        raise InputError(f"expected scenes:N with a whole number N from 1 to 2**32, got {spec!r}")
    return scenes(int(number), seed)


def _coco(path: str) -> LazySamples:
    file = Path(path).expanduser()
    if file.suffix == ".json":
        return coco(file.absolute().parent.parent, annotations=file.absolute())
    return coco(file)
