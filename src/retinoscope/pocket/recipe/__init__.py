"""How the pocket models were made; `train` makes them anew.

The order of the stages is LLaVA's: language model on text alone, vision tower on images, projector
with both frozen, then projector and language model on instructions.
"""

from ._config import VARIANTS, Recipe, Sizes, Stage
from ._evaluate import Scores
from ._train import train

__all__ = ["VARIANTS", "Recipe", "Scores", "Sizes", "Stage", "train"]
