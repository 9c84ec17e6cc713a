"""Recipe of the pocket models; `train` reproduces them.

The stages follow LLaVA: language model on text alone, vision tower on images, projector with both
frozen, then projector and language model on instructions. Every stage, and every other training on
scenes, runs `optimise`.
"""

from ._bank import SceneTexts
from ._claim import claim
from ._config import VARIANTS, Recipe, Sizes, Stage
from ._evaluate import Scores
from ._loop import Report, optimise
from ._train import TRAIN_SEED, train

__all__ = [
    "TRAIN_SEED",
    "VARIANTS",
    "Recipe",
    "Report",
    "SceneTexts",
    "Scores",
    "Sizes",
    "Stage",
    "claim",
    "optimise",
    "train",
]
