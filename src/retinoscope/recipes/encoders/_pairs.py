"""The training data of all objectives: images with captions, nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from ...data.scenes import KINDS, SceneOptions, draw_pairs
from ...encoders.captions import GROUNDED_SEED, TRAIN_SEED, caption_ids
from ...pocket.vocabulary import build_tokenizer
from .._processes import spread
from ..pocket import Report

CORRELATION = 0.95
_CHUNK = 200


@dataclass(frozen=True)
class PairBatch:
    """The data of one training step."""

    images: UInt8[Tensor, "batch height width 3"]
    captions: Int[Tensor, "batch token"]


@dataclass(frozen=True)
class Pairs:
    """Images and captions on a device; masks, boxes and labels are not loaded.

    Attributes:
        images: RGB, as drawn.
        captions: token ids, with start and end tokens, padded with 0.
    """

    images: UInt8[Tensor, "n height width 3"]
    captions: Int[Tensor, "n token"]

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, rng: np.random.Generator, size: int) -> PairBatch:
        """Returns `size` different pairs."""
        chosen = torch.from_numpy(rng.choice(len(self), size, replace=False))
        chosen = chosen.to(self.images.device)
        return PairBatch(self.images[chosen], self.captions[chosen])


def named_kinds(captions: Int[Tensor, "batch token"]) -> Float[Tensor, "batch kind"]:
    """Returns the labels of the supervised objective: 1 for each of `KINDS` in a caption, else 0.

    A scene's caption names each of its objects once; the word on a sign is not a kind.
    """
    return (captions[:, :, None] == _kind_ids(captions.device)).any(1).float()


@cache
def _kind_ids(device: torch.device) -> Int[Tensor, " kind"]:
    ids = build_tokenizer().convert_tokens_to_ids([f"▁{kind}" for kind in KINDS])
    return torch.tensor(ids, device=device)


def open_pairs(
    work: Path, n: int, *, grounded: bool, tokens: int, device: torch.device, report: Report
) -> Pairs:
    """Opens the training set in `work`, drawing it on all processors if it is not there yet.

    Raises:
        InputError: a caption has more than `tokens` tokens.
    """
    name, seed = ("grounded", GROUNDED_SEED) if grounded else ("scenes", TRAIN_SEED)
    folder = work / f"{name}-{n}"
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _draw(folder, n, seed, CORRELATION if grounded else None, report)
        (folder / "done").touch()
    captions = json.loads((folder / "captions.json").read_text())
    ids = caption_ids(captions, tokens)
    images = torch.from_numpy(np.load(folder / "images.npy"))
    return Pairs(images.to(device), ids.to(device))


def _draw(folder: Path, n: int, seed: int, correlation: float | None, report: Report) -> None:
    size = SceneOptions().size
    images = np.lib.format.open_memmap(
        folder / "images.npy", mode="w+", dtype=np.uint8, shape=(n, size, size, 3)
    )
    captions: list[str] = []
    jobs = [(start, min(n, start + _CHUNK), seed, correlation) for start in range(0, n, _CHUNK)]
    with spread(draw_pairs, jobs) as chunks:
        for (start, stop, *_), (drawn, texts) in zip(jobs, chunks, strict=True):
            images[start:stop] = drawn
            captions.extend(texts)
            report(folder.name, stop, n, float("nan"))
    images.flush()
    (folder / "captions.json").write_text(json.dumps(captions))
