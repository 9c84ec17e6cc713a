"""Which rows each summary of the study looks at together."""

from __future__ import annotations

from .._partition import ITEM, Part, Partition
from .._tables import Cell
from . import peak
from .estimates import (
    MEASURES,
    best_layer,
    best_order,
    common_words,
    scanned_layers,
    summarise_lens,
    summary_order,
    words_order,
)


def _layer(weights: Cell, group: Cell, layer: Cell) -> Part | None:
    # The object's tokens are compared with the background's; the shuffled ones with nothing.
    if group is None:
        return None
    return (weights, "shuffled" if group == "shuffled" else "object", layer)


def _curves(weights: Cell, group: Cell) -> Part | None:
    return None if group is None else (weights, group)


SUMMARY = Partition(
    summarise_lens,
    ("weights", "group", "layer"),
    _layer,
    (*ITEM, "cover", "n_tokens", *MEASURES),
    summary_order,
    scanned_layers,
)
EXTRAS: dict[str, Partition] = {
    "best_layer": Partition(
        best_layer,
        ("weights", "group"),
        _curves,
        (*ITEM, "cover", "layer", "n_tokens", *MEASURES[:2]),
        best_order,
    ),
    "peak": Partition(
        peak.peaks,
        ("weights", "group"),
        # Every control is read at the layers that the object's tokens choose.
        lambda weights, group: None if group is None else "all",
        (*ITEM, "cover", "layer", "n_tokens", *MEASURES[:2]),
        peak.peak_order,
    ),
    "objects": Partition(
        peak.peak_objects,
        ("weights", "group"),
        lambda weights, group: "all" if (weights, group) == ("trained", "object") else None,
        (*ITEM, "cover", "layer", "n_tokens", *MEASURES[:2]),
        peak.object_order,
    ),
    "words": Partition(
        common_words,
        ("weights", "group", "layer"),
        lambda weights, group, layer: None if group is None else (weights, group, layer),
        (*ITEM, "cover", "object", "n_tokens", "words"),
        words_order,
    ),
}
