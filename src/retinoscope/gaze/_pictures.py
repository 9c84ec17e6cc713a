"""Images by name, and grey-scale maps that belong to them."""

from __future__ import annotations

import tokenize
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Float

from ..data.images import MAX_PIXELS, SUFFIXES, opened
from ..data.maps import checked_map
from ..errors import InputError

IMAGES = SUFFIXES
_UNREADABLE = (
    *(OSError, ValueError, EOFError, OverflowError, TypeError, MemoryError),
    # The header of a .npy file is parsed as Python literals.
    *(SyntaxError, RecursionError, tokenize.TokenError),
)


def images_below(folder: Path, *, deep: bool = True) -> dict[str, Path]:
    """Images in a folder (and below it, if `deep`), by relative path without the ending.

    Raises:
        InputError: two images with the same name.
    """
    images: dict[str, Path] = {}
    for file in sorted(folder.rglob("*") if deep else folder.iterdir()):
        if file.suffix.lower() in IMAGES and file.is_file() and not file.name.startswith("."):
            name = file.relative_to(folder).with_suffix("").as_posix()
            if name in images:
                raise InputError(
                    f"{folder}: expected one image called {name}, got {images[name].name} and "
                    f"{file.name}: rename one"
                )
            images[name] = file
    return images


def chosen(images: Mapping[str, Path], subset: Sequence[str] | None, where: str) -> dict[str, Path]:
    """Selects the images of a subset.

    Raises:
        InputError: an image that is missing.
    """
    if subset is None:
        return dict(images)
    missing = [name for name in subset if name not in images]
    if missing:
        raise InputError(
            f"{where}: expected the images of the subset, got none for {len(missing)} of "
            f"{len(subset)}, the first {missing[0]!r}: fetch them, or shorten the subset"
        )
    wanted = set(subset)
    return {name: images[name] for name in images if name in wanted}


def image_named(name: str, images: Mapping[str, Path]) -> str | None:
    """The image that a table names, with or without its ending; None if it is unknown."""
    return next((known for known in (name, without_ending(name)) if known in images), None)


def without_ending(name: str) -> str:
    """An image's path without its ending."""
    path = PurePosixPath(name)
    return (path.parent / path.stem).as_posix()


def read_map(
    file: Path, size: tuple[int, int], resize: str | None
) -> tuple[Float[np.ndarray, "height width"], dict[str, str]]:
    """Reads a grey-scale image or a .npy array as a map of the image's size.

    Returns:
        The map, and what was done to it.

    Raises:
        InputError: no such file, colours, more than two dimensions, another size without
            `resize`, NaN or negative values.
    """
    if not file.is_file():
        raise InputError(f"{file}: expected a map, got no file there")
    values = checked_map(_array(file), None if resize else size, f"{file}: ")
    if resize is None or values.shape[::-1] == size:
        return values, {}
    # Imported here because the statistics load SciPy.
    from ..stats.maps import resample

    fitted = resample(values, size[::-1], resize)  # type: ignore[arg-type]
    return fitted, {"resize": f"{resize} from {values.shape[1]}x{values.shape[0]}"}


def _array(file: Path) -> np.ndarray:
    if file.suffix == ".npy":
        try:
            # Memory-mapped, so that the size is known before anything is read. np.load would also
            # open archives.
            values = np.lib.format.open_memmap(file, mode="r")
        except _UNREADABLE as error:
            raise InputError(f"{file}: expected an array, got something else ({error})") from error
        if values.size > MAX_PIXELS:
            raise InputError(f"{file}: expected at most {MAX_PIXELS:,} values, got {values.size:,}")
        return np.array(values)
    with opened(file, str(file)) as image:
        values = np.asarray(image.convert("RGB") if image.mode == "P" else image)
    if values.ndim == 3:
        grey = values[..., :3] if values.shape[2] in (3, 4) else values[..., :1]
        # JPEG may shift the channels by a step or two.
        if np.ptp(grey.astype(int), axis=2).max() > 4:
            raise InputError(
                f"{file}: expected a grey-scale map, got one in colours, which have no order: "
                "save the map's values"
            )
        values = grey[..., 0]
    return values
