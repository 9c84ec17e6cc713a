"""Categories of an image's locations, stored for the microscope: predictions of probes, groups.

    categories/NAME.json    one file per image, in the run directory of a study

Studies write them with `write_categories`; the microscope shows them as colours of tokens.
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
"""Name of the layer with the ground truth, the last one of a map."""
BACKGROUND = "background"
"""Name of a first class that is not coloured."""


@dataclass(frozen=True, eq=False)
class Categories:
    """One class per location of an image, in several layers.

    Attributes:
        name: what the classes mean, such as "semantic, pocket".
        classes: their names; a first one called "background" is not coloured.
        layers: names of the layers; a last one called "truth" holds the ground truth.
        values: (layers, n) index in `classes`, -1 for none.
        boxes: (n, 4) x0 y0 x1 y1 of the locations in pixels of the image, NaN where unplaced.
        grid: (rows, columns) if the locations are one grid in row-major order, else None.
        note: one sentence for the reader.
        task: what a probe was asked; "" where nothing was.

    Raises:
        InputError: the numbers of layers or locations differ, or a value is not a class.
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
    """Writes the maps of the image with the id `sample`, replacing an older file of it."""
    facts = {
        "sample": sample,
        "maps": [
            {
                "name": categories.name,
                "classes": list(categories.classes),
                "layers": list(categories.layers),
                "values": categories.values.tolist(),
                "boxes": [
                    None if np.isnan(box).any() else [round(float(x), 3) for x in box]
                    for box in categories.boxes
                ],
                "grid": None if categories.grid is None else list(categories.grid),
                "note": categories.note,
                "task": categories.task,
            }
            for categories in maps
        ],
    }
    text = json.dumps(facts, ensure_ascii=False, separators=(",", ":")) + "\n"
    return directory.write_file(_file(sample), text.encode("utf-8"))


@checked
def read_categories(path: str | Path, sample: str) -> tuple[Categories, ...]:
    """Reads the maps of one image in a run directory; empty if there are none.

    Raises:
        InputError: the file is damaged.
    """
    file = Path(path) / _file(sample)
    if not file.is_file():
        return ()
    try:
        facts = json.loads(file.read_bytes())
        return tuple(_categories(stored) for stored in facts["maps"])
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
    # A fingerprint, since a sample's id may not be a valid file name.
    return f"{FOLDER}/{fingerprint_json(sample)}.json"
