"""How well tokens name an object, at the layer that other images chose."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from .._best import Sums, best
from ..summary import Record

MEASURES = ("top1", "reciprocal")
_CONTROL = "random"


def best_words(rows: pl.DataFrame) -> Iterator[Record]:
    """Yields a record for each word, measure and way to choose tokens, of one interface.

    `value` is the mean over objects of the share of tokens whose nearest word it is ("top1"), or
    of the mean of one over its rank ("reciprocal"); `control` is that of random tokens at the same
    layers.
    """
    for (word,), of_word in rows.partition_by("word", maintain_order=True, as_dict=True).items():
        for measure in MEASURES:
            images = of_word["sample"].unique(maintain_order=True).to_list()
            by_set = of_word.partition_by("token_set", maintain_order=True, as_dict=True)
            sums = {name: _sums(some, measure, images) for (name,), some in by_set.items()}
            control = sums.pop(_CONTROL, None)
            for name, measured in sums.items():
                labels = [str(layer) for layer in range(measured[0].shape[1])]
                yield {
                    "interface": rows["interface"][0],
                    "word": word,
                    "measure": measure,
                    "token_set": name,
                    **best(images, labels, measured, control),
                }


def _sums(rows: pl.DataFrame, measure: str, images: list[str]) -> Sums:
    """Each image's sum over objects at each layer, and their number."""
    values = np.array(rows[measure].to_list(), np.float32)
    place = {image: number for number, image in enumerate(images)}
    image = [place[name] for name in rows["sample"].to_list()]
    top, bottom = np.zeros((2, len(images), values.shape[1]), np.float32)
    np.add.at(top, image, values)
    np.add.at(bottom, image, 1)
    return top, bottom
