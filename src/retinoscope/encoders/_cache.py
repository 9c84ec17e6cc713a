"""`cached_features`: the features of many images, each computed once, kept as safetensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, overload

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from .. import arguments
from ..data import ImageSource, Sample, open_image, several_images
from ..errors import InputError
from ..models import ModelState
from ..store import fingerprint_array, fingerprint_bytes, write_bytes
from ._encoder import Encoder
from ._features import Features

_IMAGES_PER_FILE = 64
_PLACES = "places"
Progress = Callable[[int, int], None]


def cached_features(
    encoder: Encoder,
    samples: Iterable[Sample | ImageSource],
    layers: Sequence[str] | None = None,
    folder: str | Path = "features",
    *,
    precision: Literal["float32", "float16"] = "float32",
    progress: Progress | None = None,
) -> CachedFeatures:
    """The features of every image, computed unless the folder already holds them.

    Files are stored under the encoder's fingerprint and the layer, and name each image by the
    fingerprint of its pixels, so that nothing is computed twice for other images, other layers or
    after an interruption. Files are written whole or not at all.

    Args:
        encoder: the encoder.
        samples: samples or images; repeated images are computed once.
        layers: all of the encoder's if None.
        folder: where features are kept.
        precision: the dtype in which they are kept.
        progress: called with the number of images done, and their total.

    Raises:
        InputError: no samples, an unknown layer, features too large for `precision`, a damaged
            file, or an encoder that changed meanwhile.
        CapabilityError: a layer whose tokens have no place in an image.
    """
    arguments.one_of(precision, ("float32", "float16"), "precision")
    names = encoder.chosen(layers)
    state = encoder.state()
    root = arguments.path(folder, "a folder") / f"{encoder.fingerprint}-{precision}"
    index = {name: _index(root / name) for name in (*names, _PLACES)}
    keys: list[str] = []
    waiting: dict[str, Features] = {}
    total = len(samples) if isinstance(samples, Sequence) else 0
    for sample in several_images(samples, "samples"):
        image = open_image(sample.image if isinstance(sample, Sample) else sample)
        key = fingerprint_array(np.asarray(image))
        keys.append(key)
        missing = [name for name in names if key not in index[name]]
        if key not in waiting and (missing or key not in index[_PLACES]):
            waiting[key] = encoder.features(image, missing or names[:1])
            if len(waiting) == _IMAGES_PER_FILE:
                _require_same(encoder, state)
                _write(root, waiting, index, precision)
                waiting = {}
        if progress is not None:
            progress(len(keys), total or len(keys))
    if not keys:
        raise InputError("expected at least one image, got none")
    _require_same(encoder, state)
    _write(root, waiting, index, precision)
    return CachedFeatures(names, tuple(keys), index)


def _require_same(encoder: Encoder, state: tuple[ModelState, ...]) -> None:
    for now, before in zip(encoder.state(), state, strict=True):
        if now != before:
            raise InputError(
                f"{encoder.name}: {now.changes(before)} while its features were computed: start "
                "again"
            )


@dataclass(frozen=True, eq=False)
class CachedFeatures(Sequence[Features]):
    """Features of a sequence of images, read from their files on access.

    Attributes:
        names: of the layers.
        keys: fingerprint of each image, in the order of the samples.
    """

    names: tuple[str, ...]
    keys: tuple[str, ...]
    _index: dict[str, dict[str, Path]]

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, index: int) -> Features: ...
    @overload
    def __getitem__(self, index: slice) -> CachedFeatures: ...
    def __getitem__(self, index: int | slice) -> Features | CachedFeatures:
        if isinstance(index, slice):
            return CachedFeatures(self.names, self.keys[index], self._index)
        key = self.keys[index]
        boxes, grid, size = self._places(key)
        layers = {name: self._read(name, key) for name in self.names}
        return Features(layers, boxes, grid, size)

    def layer(self, name: str) -> list[Float[np.ndarray, "location d"]]:
        """One layer of every image, float32; images may differ in their number of locations.

        Raises:
            InputError: a layer that was not requested.
        """
        if name not in self.names:
            raise InputError(f"expected one of {', '.join(self.names)}, got {name!r}")
        return [self._read(name, key) for key in self.keys]

    def _read(self, name: str, key: str) -> np.ndarray:
        return self._open(self._index[name][key]).get_tensor(key).astype(np.float32)

    def _places(self, key: str) -> tuple[np.ndarray, tuple[int, int] | None, tuple[int, int]]:
        file = self._open(self._index[_PLACES][key])
        rows, columns, width, height = (int(value) for value in file.get_tensor(f"{key} shape"))
        return file.get_tensor(key), (rows, columns) if rows else None, (width, height)

    def _open(self, path: Path) -> _Handle:
        if path not in self._files:
            self._files[path] = _opened(path)
        return self._files[path]

    @cached_property
    def _files(self) -> dict[Path, _Handle]:
        return {}


_Handle = safe_open


def _index(folder: Path) -> dict[str, Path]:
    """Maps images to the files that hold them."""
    file_of: dict[str, Path] = {}
    for path in sorted(folder.glob("*.safetensors")):
        file_of.update(dict.fromkeys(_opened(path).keys(), path))
    return file_of


def _opened(path: Path) -> _Handle:
    try:
        return safe_open(path, "np")
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: expected cached features, got {error}: remove it") from error


def _write(
    root: Path, waiting: dict[str, Features], index: dict[str, dict[str, Path]], precision: str
) -> None:
    """Writes one file per layer, with places last, since they mark an image as complete."""
    files: dict[str, dict[str, np.ndarray]] = {}
    for key, features in waiting.items():
        for name, values in features.layers.items():
            if key not in index[name]:
                files.setdefault(name, {})[key] = _rounded(values, precision, name)
        if key not in index[_PLACES]:
            places = files.setdefault(_PLACES, {})
            places[key] = np.ascontiguousarray(features.boxes, dtype=np.float64)
            places[f"{key} shape"] = np.array([*(features.grid or (0, 0)), *features.size])
    for name, tensors in sorted(files.items(), key=lambda item: (item[0] == _PLACES, item[0])):
        path = root / name / f"{fingerprint_bytes(*map(str.encode, tensors))}.safetensors"
        write_bytes(path, save(tensors))
        index[name].update(dict.fromkeys(tensors, path))


def _rounded(values: np.ndarray, precision: str, layer: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        rounded = np.ascontiguousarray(values.astype(precision))
    if np.isinf(rounded).any() and not np.isinf(values).any():
        raise InputError(
            f"expected features of {layer} that {precision} can hold, got "
            f"{np.abs(values).max():.0f}: keep them with precision='float32' (--precision float32)"
        )
    return rounded
