"""Trainings of visual interfaces: their towers, their language model, and the systems.

`train_decoder` trains the language model on text; `cache_seen`, `train_reading` and `judge` train
one interface in front of it and ask it about held-out scenes.
"""

from ._config import TowersRecipe
from ._decoder import DecoderRecipe, ask_in_words, open_decoder, train_decoder, write_decoder
from ._judge import Judgement, judge
from ._read import ReadingRecipe, train_reading
from ._seen import SeenBank, cache_seen
from ._towers import train_towers
from ._world import HELD_OUT_SEED, OPTIONS, TRAIN_SEED, object_sizes

__all__ = [
    "HELD_OUT_SEED",
    "OPTIONS",
    "TRAIN_SEED",
    "DecoderRecipe",
    "Judgement",
    "ReadingRecipe",
    "SeenBank",
    "TowersRecipe",
    "ask_in_words",
    "cache_seen",
    "judge",
    "object_sizes",
    "open_decoder",
    "train_decoder",
    "train_reading",
    "train_towers",
    "write_decoder",
]
