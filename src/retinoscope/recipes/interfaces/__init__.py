"""Trainings of visual interfaces: their towers, their language model, and the systems.

`train_shared` trains the parts that all interfaces share, `train_interfaces` the arms of the
comparison, whose results `recipes.comparison` reads.
"""

from ._arm import Arm, FirstStage, MatchingStage, SceneBatch
from ._arms import ARMS, STATE_ARMS, SYSTEMS
from ._claims import CLAIMS, JUDGED
from ._completion import RATIOS
from ._config import TowersRecipe
from ._decoder import DecoderRecipe, ask_in_words, train_decoder, write_decoder
from ._judge import Judgement, judge
from ._read import ReadingRecipe, train_reading
from ._reconstruction import reconstruction_gap
from ._reconstruction_trial import (
    MECHANISM,
    RECONSTRUCTION_TRIALS,
    ReconstructionTrial,
    gap_table,
    try_mechanism,
    try_reconstruction,
)
from ._seen import SeenBank, cache_seen
from ._shared import SHARED, train_shared
from ._stages import InterfaceRecipe, train_arm
from ._table import (
    MEASURES,
    OF_ATTENTION,
    OF_RECONSTRUCTION,
    OF_REFINERS,
    OF_RETRIEVAL,
    of_completion,
)
from ._towers import train_towers
from ._train import train_interfaces
from ._world import HELD_OUT_SEED, OPTIONS, TRAIN_SEED, object_sizes
from ._x_former import XFormerStage

__all__ = [
    "ARMS",
    "CLAIMS",
    "HELD_OUT_SEED",
    "JUDGED",
    "MEASURES",
    "MECHANISM",
    "OF_ATTENTION",
    "OF_RECONSTRUCTION",
    "OF_REFINERS",
    "OF_RETRIEVAL",
    "OPTIONS",
    "RATIOS",
    "RECONSTRUCTION_TRIALS",
    "SHARED",
    "STATE_ARMS",
    "SYSTEMS",
    "TRAIN_SEED",
    "Arm",
    "DecoderRecipe",
    "FirstStage",
    "InterfaceRecipe",
    "Judgement",
    "MatchingStage",
    "ReadingRecipe",
    "ReconstructionTrial",
    "SceneBatch",
    "SeenBank",
    "TowersRecipe",
    "XFormerStage",
    "ask_in_words",
    "cache_seen",
    "gap_table",
    "judge",
    "object_sizes",
    "of_completion",
    "reconstruction_gap",
    "train_arm",
    "train_decoder",
    "train_interfaces",
    "train_reading",
    "train_shared",
    "train_towers",
    "try_mechanism",
    "try_reconstruction",
    "write_decoder",
]
