"""Categories of an image's locations, kept for the microscope: predictions of probes, groups.

    categories/NAME.json    one file an image, in the run directory of a study

A study writes them with `write_categories`; the microscope shows them as colours of tokens.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from ..arguments import checked
from ..errors import InputError
from ..store import RunDirectory, fingerprint_json

FOLDER = "categories"
TRUTH = "truth"
"""Name of the layer that holds what is there, the last one of a map."""
BACKGROUND = "background"
"""A first class of this name stays without colour."""


@dataclass(frozen=True, eq=False)
class Categories:
    """One class per location of an image, in several layers.

    Attributes:
        name: what the classes say, such as "semantic, pocket".
        classes: their names; a first one called "background" stays without colour.
        layers: names of the layers; a last one called "truth" holds what is there.
        values: (layers, n) index in `classes`, -1 for none.
        boxes: (n, 4) x0 y0 x1 y1 of the locations in pixels of the image, NaN where unplaced.
        grid: (rows, columns) where the locations are one grid in row-major order, else None.
        note: one sentence for the reader.
        task: what a probe was asked; "" where nothing was.

    Raises:
        InputError: another number of layers or locations, or a value that is no class.
    """

    name: str
    classes: Sequence[str]
    layers: Sequence[str]
    values: Int[np.ndarray, "layer n"]
    boxes: Float[np.ndarray, "n 4"]
    grid: tuple[int, int] | None = None
    note: str = ""
    task: str = ""

    def __post_init__(self) -> None:
        shape = (len(self.layers), len(self.boxes))
        if self.values.shape != shape:
            raise InputError(
                f"{self.name}: expected categories (layers, locations) {shape}, got "
                f"{self.values.shape}"
            )
        if self.values.size and not -1 <= self.values.min() <= self.values.max() < len(
            self.classes
        ):
            raise InputError(
                f"{self.name}: expected classes from -1 to {len(self.classes) - 1}, got "
                f"{self.values.min()} to {self.values.max()}"
            )


def write_categories(directory: RunDirectory, sample: str, maps: Sequence[Categories]) -> Path:
    """Keeps the maps of one image, whose id is `sample`; an older file of it is replaced."""
    facts = {
        "sample": sample,
        "maps": [
            {
                "name": one.name,
                "classes": list(one.classes),
                "layers": list(one.layers),
                "values": one.values.tolist(),
                "boxes": [
                    None if np.isnan(box).any() else [round(float(x), 3) for x in box]
                    for box in one.boxes
                ],
                "grid": None if one.grid is None else list(one.grid),
                "note": one.note,
                "task": one.task,
            }
            for one in maps
        ],
    }
    text = json.dumps(facts, ensure_ascii=False, separators=(",", ":")) + "\n"
    return directory.write_file(_file(sample), text.encode("utf-8"))


@checked
def read_categories(path: str | Path, sample: str) -> tuple[Categories, ...]:
    """The maps of one image in a run directory; none where none were kept.

    Raises:
        InputError: a damaged file.
    """
    file = Path(path) / _file(sample)
    if not file.is_file():
        return ()
    try:
        facts = json.loads(file.read_bytes())
        return tuple(_categories(one) for one in facts["maps"])
    except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(f"{file} is damaged ({error}): give the study's command again") from None


def _categories(facts: dict) -> Categories:
    boxes = [[np.nan] * 4 if box is None else box for box in facts["boxes"]]
    return Categories(
        facts["name"],
        tuple(facts["classes"]),
        tuple(facts["layers"]),
        np.array(facts["values"], np.int64).reshape(len(facts["layers"]), len(boxes)),
        np.array(boxes, np.float64).reshape(-1, 4),
        None if facts["grid"] is None else (facts["grid"][0], facts["grid"][1]),
        facts["note"],
        facts["task"],
    )


def _file(sample: str) -> str:
    # Whatever a sample is called.
    return f"{FOLDER}/{fingerprint_json(sample)}.json"
