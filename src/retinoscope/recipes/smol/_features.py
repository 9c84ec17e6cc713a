"""Features of the frozen tower, computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ...pocket.smol.tower import LiteTower
from ..pocket._loop import Report


def pixels(
    images: UInt8[np.ndarray, "batch height width 3"], side: int, device: torch.device
) -> Float[Tensor, "batch 3 side side"]:
    """Normalises square images as the processor does, on the tower's device.

    The library resizes with PIL; this agrees with it to one level of 255.
    """
    values = torch.tensor(images).to(device).permute(0, 3, 1, 2).float()
    # Rows first, then columns, rounded to whole levels after each, as PIL does.
    for size in ((values.shape[-2], side), (side, side)):
        if tuple(values.shape[-2:]) != size:
            values = F.interpolate(values, size=size, mode="bicubic", antialias=True)
            values = values.round().clamp(0, 255)
    return values.div(127.5).sub(1.0)


def square(image: Image.Image, side: int) -> UInt8[np.ndarray, "side side 3"]:
    """Returns the centre crop of an image, as the processor takes it."""
    image = image.convert("RGB")
    scale = side / min(image.size)
    size = (max(side, round(image.width * scale)), max(side, round(image.height * scale)))
    resized = image.resize(size, Image.Resampling.BICUBIC)
    left, top = (resized.width - side) // 2, (resized.height - side) // 2
    return np.asarray(resized.crop((left, top, left + side, top + side)))


@torch.no_grad()
def cache_features(
    tower: LiteTower,
    images: Sequence[np.ndarray] | np.ndarray,
    file: Path,
    report: Report,
) -> np.ndarray | Tensor:
    """Returns raw (not standardised) features (n, location, channel) in float16.

    Memory-mapped from `file` on a CPU; on a GPU, held in its memory.
    """
    done = file.with_suffix(".done")
    config, n = tower.config, len(images)
    shape = (n, (config.image_size // config.patch_size) ** 2, config.hidden_size)
    if tower.mean.device.type != "cpu":
        # Recomputing takes seconds and puts them where the steps need them.
        features = torch.empty(shape, dtype=torch.float16, device=tower.mean.device)
        for start, stop in _blocks(n, 128):
            features[start:stop] = _raw(tower, images[start:stop])
            report("features", stop, n, float("nan"))
        return features
    if not done.exists():
        out = np.lib.format.open_memmap(file, mode="w+", dtype=np.float16, shape=shape)
        # One at a time: no slower here, and rounding cannot depend on the other images of a batch.
        for start, stop in _blocks(n, 1):
            out[start:stop] = _raw(tower, images[start:stop]).numpy()
            if stop % 16 == 0 or stop == n:
                report("features", stop, n, float("nan"))
        out.flush()
        done.touch()
    return np.load(file, mmap_mode="r")


def _raw(tower: LiteTower, images: Sequence[np.ndarray] | np.ndarray) -> Tensor:
    values = pixels(np.stack(list(images)), tower.config.image_size, tower.mean.device)
    return tower.raw(values).half()


def _blocks(n: int, size: int) -> Iterator[tuple[int, int]]:
    for start in range(0, n, size):
        yield start, min(n, start + size)


def standardise(tower: LiteTower, features: np.ndarray | Tensor) -> None:
    """Sets the tower's constants in place, from a sample of features."""
    some = features[:: max(1, len(features) // 500)]
    sample = (some if isinstance(some, Tensor) else torch.from_numpy(np.array(some))).float()
    tower.mean.copy_(sample.mean((0, 1)))
    # A nearly constant channel stays small instead of being scaled up.
    tower.std.copy_(sample.std((0, 1)).clamp_min(0.02))
