"""Drawn boards as arrays, drawn once and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from ...data import Scenes
from ...data.scenes import SceneOptions, sign_letters
from ...data.words import HEIGHT, WIDTH, BoardOptions, draw_board, letter_mask
from ...interfaces import WINDOW, crop_boards, from_pixels, to_pixels
from .._processes import spread
from ..pocket import Report

TRAIN_SEED = 2108_0009
"""Boards of this seed are the training set; every other seed is held out."""
HELD_OUT_SEED = 1961
"""Boards of this seed judge what was trained."""
SIGNS = "signs"
"""In place of options: signs of scenes, cut out about as a detector would."""
Part = tuple[int, BoardOptions | Literal["signs"]]
"""How many boards, and how they are drawn."""
_CHUNK = 250
_OFF = 5.0
"""How far a window may lie from the middle of a sign along each axis, in pixels."""


@dataclass(frozen=True, eq=False)
class Boards:
    """Boards and their truth.

    Attributes:
        images: RGB.
        words: what they show.
        letter: the number of one letter of each: the one that something lies on, if anything does.
        edges: left and right edge of that letter without anything on it, as shares of the width.
    """

    images: UInt8[np.ndarray, "board height width 3"]
    words: Sequence[str]
    letter: Int[np.ndarray, " board"]
    edges: Float[np.ndarray, "board 2"]

    def __len__(self) -> int:
        return len(self.images)


def draw_boards(work: Path, parts: Sequence[Part], seed: int, report: Report) -> Boards:
    """Draws boards 0, 1, ... of `seed` into `work`, or opens those drawn before.

    Args:
        work: folder for the arrays.
        parts: how many boards, and how they are drawn; one after the other.
        seed: of the boards.
        report: called with the progress.
    """
    name = hashlib.sha256(repr((list(parts), seed)).encode()).hexdigest()[:12]
    file = work / f"boards-{name}.npz"
    if not file.is_file():
        _draw(file, parts, seed, report)
    with np.load(file) as arrays:
        return Boards(arrays["images"], arrays["words"].tolist(), arrays["letter"], arrays["edges"])


def _draw(file: Path, parts: Sequence[Part], seed: int, report: Report) -> None:
    jobs, start = [], 0
    for n, options in parts:
        jobs += [
            (first, min(start + n, first + _CHUNK), seed, options)
            for first in range(start, start + n, _CHUNK)
        ]
        start += n
    drawn = []
    with spread(_draw_chunk, jobs) as chunks:
        for (_, stop, *_), chunk in zip(jobs, chunks, strict=True):
            drawn.append(chunk)
            report("boards", stop, start, float("nan"))
    images, words, letter, edges = zip(*drawn, strict=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".part")
    with unfinished.open("wb") as stream:
        np.savez(
            stream,
            images=np.concatenate(images),
            words=np.array([word for part in words for word in part]),
            letter=np.concatenate(letter),
            edges=np.concatenate(edges),
        )
    unfinished.replace(file)


def _draw_chunk(
    job: tuple[int, int, int, BoardOptions | Literal["signs"]],
) -> tuple[np.ndarray, list[str], np.ndarray, np.ndarray]:
    start, stop, seed, options = job
    if not isinstance(options, BoardOptions):
        return _cut_signs(start, stop, seed)
    n = stop - start
    images = np.empty((n, HEIGHT, WIDTH, 3), np.uint8)
    letter, edges, words = np.empty(n, np.int64), np.empty((n, 2)), []
    for row, index in enumerate(range(start, stop)):
        images[row], _, content = draw_board(index, seed, options)
        number = content.drawn
        columns = np.flatnonzero(letter_mask(content.letters[number]).any(0))
        letter[row], edges[row] = number, (columns[0] / WIDTH, (columns[-1] + 1) / WIDTH)
        words.append(content.word)
    return images, words, letter, edges


def _cut_signs(
    start: int, stop: int, seed: int
) -> tuple[np.ndarray, list[str], np.ndarray, np.ndarray]:
    """The signs of scenes `start` to `stop`, each about in the middle of its window."""
    samples = list(Scenes(stop - start, seed, SceneOptions(signs=1.0), start))
    rng = np.random.default_rng([seed, start])
    signs = [sample.signs[0] for sample in samples]
    boxes = np.array([sign.box for sign in signs])
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2 + rng.uniform(-_OFF, _OFF, (len(boxes), 2))
    pixels = to_pixels(np.stack([np.asarray(sample.image) for sample in samples]))
    cut = crop_boards(pixels, torch.from_numpy(centers).float(), (HEIGHT, WIDTH))
    images = from_pixels(cut)
    words = [sign.word for sign in signs]
    letter = np.array([rng.integers(len(word)) for word in words])
    inner = np.array([sign_letters(w)[k] for w, k in zip(words, letter, strict=True)])
    left = boxes[:, 0] - centers[:, 0] + WINDOW[0] / 2
    edges = (left[:, None] + inner) / WINDOW[0]
    return images, words, letter, edges.clip(0, 1)
