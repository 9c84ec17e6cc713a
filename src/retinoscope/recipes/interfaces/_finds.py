"""What a refiner finds in scenes, and how a model repeats its errors."""

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
        claimed: the kinds of all objects that the refiner reports.
        reported: the number of these objects.
        added: of them, how many were added on purpose.
    """

    found: tuple[bool, ...]
    claimed: frozenset[str]
    reported: int
    added: int


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
            added = int((objects.false[row] & there).sum())
            finds.append(RefinerFinds(found, frozenset(kinds), len(kinds), added))
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


def refiner_scores(
    finds: Sequence[RefinerFinds], small: Sequence[Sequence[bool]]
) -> dict[str, float]:
    """Recall by size of the object, precision, and the number of objects per scene.

    Args:
        finds: of several scenes.
        small: for each scene, which of its objects are small.
    """
    pairs = [
        pair
        for find, sizes in zip(finds, small, strict=True)
        for pair in zip(find.found, sizes, strict=True)
    ]
    reported = sum(find.reported for find in finds)
    right = sum(sum(find.found) for find in finds)
    return {
        "recall": float(np.mean([hit for hit, _ in pairs])),
        "recall-small": float(np.mean([hit for hit, size in pairs if size])),
        "recall-large": float(np.mean([hit for hit, size in pairs if not size])),
        "precision": right / max(reported, 1),
        "objects": reported / len(finds),
    }


def with_claims(rows: pl.DataFrame, finds: Sequence[RefinerFinds]) -> pl.DataFrame:
    """Adds "claimed" to rows about polling: whether the refiner reports the kind asked for.

    A present kind that it does not report is a miss, and an absent one that it reports is a false
    positive; null for other questions.

    Args:
        rows: with the columns "scene", "kind" (of the question) and "question".
        finds: of the scenes, by number.
    """

    def claim(scene: int, kind: str, question: str) -> bool | None:
        if not kind.startswith("polling"):
            return None
        asked = [word for word in question.lower().rstrip("?").split() if word in KINDS]
        return asked[0] in finds[scene].claimed if asked else None

    columns = rows.select("scene", "kind", "question").iter_rows()
    return rows.with_columns(pl.Series("claimed", [claim(*row) for row in columns], pl.Boolean))


def passed_on(rows: pl.DataFrame) -> dict[str, float]:
    """How often the model repeats what the refiner gets wrong, and right, among polling questions.

    "yes-to-false" is the share of "yes" about absent kinds that the refiner reports,
    "yes-to-absent" about those that it does not; "no-to-missed" is the share of "no" about present
    kinds that it does not report, "no-to-found" about those that it does. A case that does not
    occur is left out.

    Args:
        rows: from `with_claims`, with "expected" and "said".
    """
    claimed, there = pl.col("claimed"), pl.col("expected") == "yes"
    asked = rows.filter(claimed.is_not_null())
    cases = {
        "yes-to-false": (~there & claimed, "yes"),
        "yes-to-absent": (~there & ~claimed, "yes"),
        "no-to-missed": (there & ~claimed, "no"),
        "no-to-found": (there & claimed, "no"),
    }
    return {
        name: float(np.mean(asked.filter(case)["said"].to_numpy() == answer))
        for name, (case, answer) in cases.items()
        if asked.filter(case).height
    }
