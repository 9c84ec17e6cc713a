"""What a refiner finds in scenes, and which kinds it reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from jaxtyping import Float
from torch import Tensor

from ...data import Sample
from ...data.scenes import KINDS
from ...errors import InputError
from ...interfaces import Lyrics, to_pixels, tower_tokens

_BATCH = 64


@dataclass(frozen=True)
class RefinerFinds:
    """What a refiner found in one scene.

    Attributes:
        found: for each object of the scene, whether one of the refiner's objects is of its kind and
            on it; each of these stands for one object at most.
        kinds: those of all objects that the refiner reports.
        reported: the number of these objects.
    """

    found: tuple[bool, ...]
    kinds: frozenset[str]
    reported: int


@torch.no_grad()
def refiner_finds(interface: Lyrics, samples: Sequence[Sample]) -> list[RefinerFinds]:
    """What the interface's refiner finds in drawn scenes, with its errors if it makes any.

    Raises:
        InputError: the refiner does not name the kinds of drawn scenes.
    """
    interface.eval()
    finds = []
    for start in range(0, len(samples), _BATCH):
        batch = list(samples[start : start + _BATCH])
        pixels = to_pixels(np.stack([np.asarray(sample.image) for sample in batch]))
        objects = interface.refiner(pixels, tower_tokens(interface.tower, pixels)).objects
        names = [_kind(name) for name in interface.refiner.names]
        for row, sample in enumerate(batch):
            there = objects.mask[row]
            kinds = [names[tag] for tag in objects.tags[row, there].tolist()]
            found = _matched(sample, kinds, objects.patches[row, there])
            finds.append(RefinerFinds(found, frozenset(kinds), len(kinds)))
    return finds


def _kind(name: str) -> str:
    kind = name.split()[-1]
    if kind not in KINDS:
        raise InputError(f"expected a refiner of drawn scenes, got one that finds {name!r}")
    return kind


def _matched(
    sample: Sample, kinds: Sequence[str], patches: Float[Tensor, "object patch"]
) -> tuple[bool, ...]:
    """Whether each object of a scene is found, the pairs with most pixels in common first."""
    grid = round(patches.shape[1] ** 0.5)
    on = (patches > 0).numpy()
    common = np.zeros((len(sample.objects), len(kinds)))
    for row, thing in enumerate(sample.objects):
        side = thing.mask.shape[0] // grid
        pixels = thing.mask.reshape(grid, side, grid, side).sum((1, 3)).ravel()
        common[row] = on @ pixels * np.array([kind == thing.name for kind in kinds], dtype=int)
    found = [False] * len(sample.objects)
    while common.size and common.max() > 0:
        row, column = np.unravel_index(int(common.argmax()), common.shape)
        found[row] = True
        common[row], common[:, column] = 0, 0
    return tuple(found)


def with_reports(rows: pl.DataFrame, finds: Sequence[RefinerFinds]) -> pl.DataFrame:
    """Adds "reported" to rows about polling: whether the refiner reports the kind asked for.

    A present kind that it does not report is a miss, and an absent one that it reports is a false
    positive; null for other questions.

    Args:
        rows: with the columns "scene", "kind" (of the question) and "question".
        finds: of the scenes, by number.
    """

    def report(scene: int, kind: str, question: str) -> bool | None:
        if not kind.startswith("polling"):
            return None
        asked = [word for word in question.lower().rstrip("?").split() if word in KINDS]
        return asked[0] in finds[scene].kinds if asked else None

    columns = rows.select("scene", "kind", "question").iter_rows()
    return rows.with_columns(pl.Series("reported", [report(*row) for row in columns], pl.Boolean))
