"""The scenes that the recipe trains on, drawn once and kept as memory-mapped arrays."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from ...data import Question
from ...data.scenes import SceneOptions, draw_arrays, scene_texts
from ...store import fingerprint_json
from .._processes import spread
from ._loop import Report

BACKGROUND = 0
AMBIGUOUS = 255
_CHUNK = 250
_PRESENT = 0.25
_DEFAULT = SceneOptions()


@dataclass(frozen=True)
class SceneTexts:
    """The texts about one scene."""

    caption: str
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class Bank:
    """`n` drawn scenes: pixels, patch labels and texts."""

    images: UInt8[np.ndarray, "n height width 3"]
    kinds: UInt8[np.ndarray, "n patch_row patch_col"]
    """0 background, 1 + index in `KINDS` and then in `SIGN_WORDS`, 255 ambiguous."""
    colors: UInt8[np.ndarray, "n patch_row patch_col"]
    """0 none, 1 + index in `COLORS`, 255 ambiguous."""
    texts: Sequence[SceneTexts]

    def __len__(self) -> int:
        return len(self.images)


def draw_bank(
    work: Path,
    n: int,
    seed: int,
    patch: int,
    report: Report,
    options: SceneOptions = _DEFAULT,
    present: float = _PRESENT,
) -> Bank:
    """Draws scenes 0..n-1 of `seed` into `work`, or opens those drawn before.

    `present` is the share of a patch from which on an object names it.
    """
    named = "" if present == _PRESENT else f"-from-{present:g}"
    folder = work / f"scenes-{seed}-{n}-{patch}{_suffix(options)}{named}"
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _draw(folder, n, seed, patch, report, options, present)
        (folder / "done").touch()
    images, kinds, colors = (
        np.load(folder / f"{part}.npy", mmap_mode="r") for part in ("images", "kinds", "colors")
    )
    with (folder / "texts.jsonl").open(encoding="utf-8") as lines:
        texts = [_parse(line) for line in lines]
    return Bank(images, kinds, colors, texts)


def _suffix(options: SceneOptions) -> str:
    """What tells the folder of scenes with these options from those with others."""
    if options == _DEFAULT:
        return ""
    if options == SceneOptions(more_kinds=True):
        return "-more-kinds"
    return f"-{fingerprint_json(asdict(options))[:12]}"


def _draw(
    folder: Path,
    n: int,
    seed: int,
    patch: int,
    report: Report,
    options: SceneOptions,
    present: float,
) -> None:
    size = options.size
    grid = size // patch

    def create(name: str, *shape: int) -> np.memmap:
        file = folder / f"{name}.npy"
        return np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=(n, *shape))

    images, kinds, colors = (
        create("images", size, size, 3),
        create("kinds", grid, grid),
        create("colors", grid, grid),
    )
    starts = range(0, n, _CHUNK)
    jobs = [(start, min(n, start + _CHUNK), seed, patch, options, present) for start in starts]
    with (
        spread(_draw_chunk, jobs) as chunks,
        (folder / "texts.jsonl").open("w", encoding="utf-8") as lines,
    ):
        for (start, stop, *_), drawn in zip(jobs, chunks, strict=True):
            images[start:stop], kinds[start:stop], colors[start:stop], texts = drawn
            lines.writelines(f"{text}\n" for text in texts)
            report("scenes", stop, n, float("nan"))
    for array in (images, kinds, colors):
        array.flush()


def _draw_chunk(
    job: tuple[int, int, int, int, SceneOptions, float],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    start, stop, seed, patch, options, present = job
    images, kinds, colors, texts = [], [], [], []
    for index in range(start, stop):
        image, label, color = draw_arrays(index, seed, options)
        images.append(image)
        kinds.append(patch_labels(label, patch, present))
        colors.append(patch_labels(color, patch, present))
        caption, questions = scene_texts(index, seed, options)
        texts.append(json.dumps([caption, [asdict(question) for question in questions]]))
    return np.stack(images), np.stack(kinds), np.stack(colors), texts


def _parse(line: str) -> SceneTexts:
    caption, questions = json.loads(line)
    parsed = (Question(**{**entry, "about": tuple(entry["about"])}) for entry in questions)
    return SceneTexts(caption, tuple(parsed))


def patch_labels(
    label: UInt8[np.ndarray, "height width"],
    patch: int,
    present: float = _PRESENT,
    absent: float = 0.04,
) -> UInt8[np.ndarray, "patch_row patch_col"]:
    """Labels each patch by what covers most of it, if that covers at least `present` of it.

    A patch of which objects cover less than `absent` is background; one in between is ambiguous.
    """
    rows, cols = label.shape[0] // patch, label.shape[1] // patch
    cells = label.reshape(rows, patch, cols, patch).transpose(0, 2, 1, 3).reshape(rows * cols, -1)
    out = np.full(rows * cols, AMBIGUOUS, dtype=np.uint8)
    out[(cells > 0).mean(1) < absent] = BACKGROUND
    for cell in np.flatnonzero((cells > 0).mean(1) >= present):
        counts = np.bincount(cells[cell])
        counts[0] = 0
        best = int(counts.argmax())
        if counts[best] >= present * cells.shape[1]:
            out[cell] = best
    return out.reshape(rows, cols)
