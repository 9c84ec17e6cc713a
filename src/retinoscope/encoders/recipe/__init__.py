"""The comparison: one small vision transformer, trained on the same scenes by several objectives.

`train_encoders` makes all of them, `PackedEncoders` opens what it wrote. Every objective takes the
same number of steps of the same number of images; the loader hands out images and captions, never a
mask, a box or a label.
"""

from ._config import (
    AGGREGATIONS,
    ALIASES,
    OBJECTIVES,
    Aggregation,
    EncoderRecipe,
    Objective,
    TowerSizes,
)
from ._packed import PackedEncoders, repack
from ._pairs import GROUNDED_SEED, TRAIN_SEED, Pairs, caption_ids, held_out
from ._tower import TextTower, aggregate, build_tower, encode, image_processor
from ._train import train_encoders

__all__ = [
    "AGGREGATIONS",
    "ALIASES",
    "GROUNDED_SEED",
    "OBJECTIVES",
    "TRAIN_SEED",
    "Aggregation",
    "EncoderRecipe",
    "Objective",
    "PackedEncoders",
    "Pairs",
    "TextTower",
    "TowerSizes",
    "aggregate",
    "build_tower",
    "caption_ids",
    "encode",
    "held_out",
    "image_processor",
    "repack",
    "train_encoders",
]
