"""How the pocket models were made; `train` makes them anew.

The order of the stages is LLaVA's: language model on text alone, vision tower on images, projector
with both frozen, then projector and language model on instructions. `optimise` is the loop of every
stage, and of other trainings on scenes.
"""

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
    "Scores",
    "Sizes",
    "Stage",
    "claim",
    "optimise",
    "train",
]
