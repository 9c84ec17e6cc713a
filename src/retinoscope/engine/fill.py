"""Fills for ablated tokens: the mean visual token, zeros, noise, another run's tokens."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from .. import arguments
from ..data import ImageSource, Sample, open_image, several_images
from ..errors import InputError
from ..tokens import RunLike, require_run
from ._base_vlm import BaseVLM

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Donor", "Fill", "Mean", "Noise", "Zero", "donor", "mean", "noise", "zero"]


class Fill(ABC):
    """Replacement for ablated embeddings."""

    @abstractmethod
    def values(self, run: RunLike, positions: tuple[int, ...]) -> Float[Tensor, "token d_model"]:
        """Returns one embedding for each of `positions` of `run`."""

    def added(
        self, run: RunLike, positions: tuple[int, ...]
    ) -> tuple[Float[Tensor, "token d_model"], ...]:
        """Returns what the model adds to these embeddings after its first blocks (DeepStack).

        Empty for nothing. Only a fill that takes an image's own tokens has any, so that an ablated
        token leaves nothing behind.
        """
        return ()


@dataclass(frozen=True, eq=False)
class Zero(Fill):
    """Zeros."""

    def values(self, run: RunLike, positions: tuple[int, ...]) -> Float[Tensor, "token d_model"]:
        return run.embeddings.new_zeros(len(positions), run.embeddings.shape[1])


@dataclass(frozen=True, eq=False)
class Mean(Fill):
    """One vector for every token: the mean visual token over many images.

    Attributes:
        vector: (d_model,) float32.
        n_images, n_tokens: numbers of images and visual tokens in the mean.
        weights: `adapter.image_weights()` of the model that encoded them; None if unknown.
    """

    vector: Float[Tensor, " d_model"] = field(repr=False)
    n_images: int
    n_tokens: int
    weights: str | None = field(default=None, repr=False)

    def values(self, run: RunLike, positions: tuple[int, ...]) -> Float[Tensor, "token d_model"]:
        if self.vector.shape != run.embeddings.shape[1:]:
            raise InputError(
                f"expected a mean token of {run.embeddings.shape[1]} numbers, got one of "
                f"{len(self.vector)}: it was computed with another model"
            )
        if self.weights not in (None, run.adapter.image_weights()):
            raise InputError(
                "expected a mean token of this model, got one computed with other weights "
                "(another model, or this one before it changed): compute it again with fill.mean"
            )
        return self.vector.to(run.embeddings).expand(len(positions), -1)


@dataclass(frozen=True, eq=False)
class Noise(Fill):
    """Normal noise with the mean and standard deviation, per dimension, of the run's visual tokens.

    The noise at a position depends only on the seed and the position, not on which other positions
    are replaced.
    """

    seed: int

    def __post_init__(self) -> None:
        arguments.seed(self.seed)

    def values(self, run: RunLike, positions: tuple[int, ...]) -> Float[Tensor, "token d_model"]:
        places = [position for image in run.images for position in image.positions]
        if len(places) < 2:
            raise InputError("expected a run with visual tokens to take the noise's scale from")
        visual = run.embeddings[torch.tensor(places, device=run.embeddings.device)].float()
        generator = torch.Generator().manual_seed(self.seed)
        drawn = torch.randn(run.embeddings.shape, generator=generator)
        drawn = drawn[torch.tensor(positions)].to(visual.device)
        return (visual.mean(0) + drawn * visual.std(0)).to(run.embeddings.dtype)


@dataclass(frozen=True, eq=False)
class Donor(Fill):
    """The visual tokens of another run, by their index among the visual tokens.

    What the model adds to them after its first blocks (DeepStack) is the other run's too.
    """

    run: RunLike

    def __post_init__(self) -> None:
        require_run(self.run, "a run as donor")

    def values(self, run: RunLike, positions: tuple[int, ...]) -> Float[Tensor, "token d_model"]:
        chosen = self._chosen(run, positions).to(self.run.embeddings.device)
        return self.run.embeddings[chosen].to(run.embeddings)

    def added(
        self, run: RunLike, positions: tuple[int, ...]
    ) -> tuple[Float[Tensor, "token d_model"], ...]:
        here, features = run.inputs.added(), self.run.inputs.added()
        if len(here) != len(features):
            raise InputError(
                f"expected a donor whose model adds features after {len(here)} blocks of the "
                f"decoder, as this one does, got one that adds them after {len(features)}"
            )
        chosen = self._chosen(run, positions)
        return tuple(table[chosen.to(table.device)] for table in features)

    def _chosen(self, run: RunLike, positions: tuple[int, ...]) -> Int[Tensor, " token"]:
        """Returns the donor's position for each of the run's."""
        if self.run.adapter.watch is run.adapter.watch:
            self.run.require_current()
        here = [position for image in run.images for position in image.positions]
        there = [position for image in self.run.images for position in image.positions]
        if len(here) != len(there) or self.run.embeddings.shape[1] != run.embeddings.shape[1]:
            raise InputError(
                f"expected a donor with the same number of visual tokens ({len(here)}) and the "
                f"same width, got one with {len(there)}"
            )
        index: dict[int, int] = dict(zip(here, there, strict=True))
        text = [position for position in positions if position not in index]
        if text:
            raise InputError(
                f"expected visual tokens only, which a donor has too, got position {text[0]}"
            )
        return torch.tensor([index[position] for position in positions])


def zero() -> Zero:
    """Zeros, far from any visual token's norm; the paper prefers the mean."""
    return Zero()


def noise(seed: int) -> Noise:
    """Normal noise at the scale of the run's visual tokens; see `Noise`."""
    return Noise(seed)


def donor(run: RunLike) -> Donor:
    """The visual tokens of `run` (of another image, say), index by index."""
    return Donor(run)


def mean(
    vlm: BaseVLM,
    samples: Sequence[Sample | ImageSource],
    *,
    cache: bool = True,
    batch_size: int = 16,
) -> Mean:
    """Computes the mean visual token over all images of `samples`, as a running sum in float64.

    It is cached on disk under a fingerprint of the model and the images, in the folder
    `$RETINOSCOPE_CACHE` or `~/.cache/retinoscope`.

    Args:
        vlm: from `retinoscope.load`.
        samples: samples or images.
        cache: read and write the cache.
        batch_size: number of images encoded together.

    Raises:
        InputError: there are no samples, `samples` is not a list, an image cannot be read, `vlm` is
            not from `load`, or the model changed meanwhile.

    Source: Neo et al. 2024, section 3: the mean over 50,000 ImageNet validation images.
    """
    arguments.whole(batch_size, "batch_size", 1)
    if not hasattr(vlm, "adapter"):
        raise InputError(f"expected a model from retinoscope.load, got {arguments.shown(vlm)}")
    samples = several_images(samples, "samples")
    if not len(samples):
        raise InputError("expected samples to take the mean over, got none")
    state = vlm.adapter.state()
    weights = vlm.adapter.image_weights()
    place = _cache_file(vlm, samples) if cache else None
    if place is not None:
        cached = _read(place, vlm.d_model, weights)
        if cached is not None:
            return cached
    total = torch.zeros(vlm.d_model, dtype=torch.float64)
    n_images = n_tokens = 0
    batch: list[Image.Image] = []
    for image in _images(samples):
        batch.append(image)
        n_images += 1
        if len(batch) == batch_size or n_images == len(samples):
            for embeddings in vlm.encode(batch):
                total += embeddings.to("cpu", torch.float64).sum(0)
                n_tokens += len(embeddings)
            batch = []
    vlm.adapter.require(state, "mean")
    result = Mean((total / n_tokens).float(), n_images, n_tokens, weights)
    if place is not None:
        _write(place, result)
    return result


def _images(samples: Sequence[Sample | ImageSource]) -> Iterator[Image.Image]:
    for index in range(len(samples)):
        sample = samples[index]
        yield open_image(sample.image if isinstance(sample, Sample) else sample)


def _cache_file(vlm: BaseVLM, samples: Sequence[Sample | ImageSource]) -> Path:
    digest = hashlib.sha256(f"{vlm.fingerprint} {vlm.dtype}".encode())
    for image in _images(samples):
        digest.update(repr(image.size).encode())
        digest.update(image.tobytes())
    home = os.environ.get("RETINOSCOPE_CACHE") or Path.home() / ".cache" / "retinoscope"
    return Path(home) / "means" / f"{digest.hexdigest()[:32]}.safetensors"


def _read(path: Path, d_model: int, weights: str) -> Mean | None:
    try:
        tensors = load_file(path)
        n_images, n_tokens = (int(count) for count in tensors["counts"])
        vector = tensors["vector"]
        return Mean(vector, n_images, n_tokens, weights) if len(vector) == d_model else None
    except (OSError, SafetensorError, KeyError, ValueError):
        return None


def _write(path: Path, result: Mean) -> None:
    # If the cache cannot be written, the next call takes longer, nothing else.
    with suppress(OSError, SafetensorError):
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(f".{os.getpid()}.new")
        counts = torch.tensor([result.n_images, result.n_tokens])
        save_file({"vector": result.vector.contiguous(), "counts": counts}, new)
        os.replace(new, path)
