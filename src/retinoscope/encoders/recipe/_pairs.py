"""The training data of all objectives: images with their captions, and nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from ...data import ByColor, Grounded, LazySamples, Scenes
from ...data.scenes import KINDS, SceneOptions, draw_pairs
from ...errors import InputError
from ...pocket.recipe import Report, build_tokenizer

TRAIN_SEED = 2212_00281
"""Scenes of this seed are what the encoders learn from; every other seed is held out."""
GROUNDED_SEED = 2210_09996
CORRELATION = 0.95
_CHUNK = 200


@dataclass(frozen=True)
class PairBatch:
    """The data of one step."""

    images: UInt8[Tensor, "batch height width 3"]
    captions: Int[Tensor, "batch token"]


@dataclass(frozen=True)
class Pairs:
    """Images and captions on a device. There is no mask, box or label to be had here.

    Attributes:
        images: RGB, as drawn.
        captions: token ids, begun by the beginning's token, ended by the end's, padded with 0.
    """

    images: UInt8[Tensor, "n height width 3"]
    captions: Int[Tensor, "n token"]

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, rng: np.random.Generator, size: int) -> PairBatch:
        """`size` different pairs."""
        chosen = torch.from_numpy(rng.choice(len(self), size, replace=False))
        chosen = chosen.to(self.images.device)
        return PairBatch(self.images[chosen], self.captions[chosen])


def named_kinds(captions: Int[Tensor, "batch token"]) -> Float[Tensor, "batch kind"]:
    """1 for each of `KINDS` that a caption names, else 0: the labels of the supervised objective.

    A scene's caption names all of its objects, once each; the word on a sign is no kind.
    """
    return (captions[:, :, None] == _kind_ids(captions.device)).any(1).float()


@cache
def _kind_ids(device: torch.device) -> Int[Tensor, " kind"]:
    ids = build_tokenizer().convert_tokens_to_ids([f"▁{kind}" for kind in KINDS])
    return torch.tensor(ids, device=device)


def held_out(samples: Sequence[Any]) -> None:
    """Refuses scenes that the encoders of the comparison were trained on.

    Raises:
        InputError: scenes of a training seed, named by their colours or not.
    """
    for source, seed in _drawn(samples):
        if seed == {"scenes": TRAIN_SEED, "grounded": GROUNDED_SEED}.get(source):
            raise InputError(
                f"expected scenes that no encoder was trained on, got those of seed {seed}: "
                "choose another seed"
            )


def _drawn(samples: Sequence[Any]) -> Iterator[tuple[str, int]]:
    """Which worlds samples were drawn from, and their seeds; nothing for other data."""
    if isinstance(samples, ByColor):
        yield from _drawn(samples.samples)
    elif isinstance(samples, Scenes | Grounded):
        yield ("scenes" if isinstance(samples, Scenes) else "grounded"), samples.seed
    elif isinstance(samples, LazySamples):
        kind, *numbers = samples.name.split(":")
        if kind == "simulated":
            yield "scenes", int(numbers[-1])
    elif isinstance(samples, list | tuple):
        for sample in samples:
            meta = getattr(sample, "meta", {})
            if isinstance(meta.get("seed"), int):
                yield str(meta.get("source")), meta["seed"]


def open_pairs(
    work: Path, n: int, *, grounded: bool, tokens: int, device: torch.device, report: Report
) -> Pairs:
    """The training set, drawn into `work` by all processors unless it is there already.

    Raises:
        InputError: a caption of more than `tokens` tokens.
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


def caption_ids(captions: Sequence[str], tokens: int) -> Int[Tensor, "text token"]:
    """Token ids of texts, begun, ended and padded.

    Raises:
        InputError: a text of more than `tokens` tokens, or with a word that is not known.
    """
    tokenizer = build_tokenizer()
    end, unknown = tokenizer.eos_token_id, tokenizer.unk_token_id
    assert isinstance(end, int)
    ids = np.zeros((len(captions), tokens), dtype=np.int64)
    for row, text in enumerate(captions):
        found = [*tokenizer(text)["input_ids"], end]
        if unknown in found:
            raise InputError(
                f"expected words of drawn scenes, got {text!r}: name kinds and colours of "
                "retinoscope.data.scenes, as in 'a red car'"
            )
        if len(found) > tokens:
            raise InputError(f"expected texts of at most {tokens - 2} words, got {text!r}")
        ids[row, : len(found)] = found
    return torch.from_numpy(ids)


def _draw(folder: Path, n: int, seed: int, correlation: float | None, report: Report) -> None:
    size = SceneOptions().size
    images = np.lib.format.open_memmap(
        folder / "images.npy", mode="w+", dtype=np.uint8, shape=(n, size, size, 3)
    )
    captions: list[str] = []
    jobs = [(start, min(n, start + _CHUNK), seed, correlation) for start in range(0, n, _CHUNK)]
    workers = min(len(jobs), os.cpu_count() or 1)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for (start, stop, *_), (drawn, said) in zip(jobs, pool.map(draw_pairs, jobs), strict=True):
            images[start:stop] = drawn
            captions.extend(said)
            report(folder.name, stop, n, float("nan"))
    images.flush()
    (folder / "captions.json").write_text(json.dumps(captions))
