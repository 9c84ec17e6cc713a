"""Perceptual grouping: which class each location is given, and which locations go together.

subjects    the models that are compared, their untrained copies, their words and prompts
view        one image on one grid of locations: pixels of classes and instances
top_down    labels from text, from the lens, from attribution
bottom_up   groups without text, and their nulls
study       the study itself (`Grouping`)
summary     estimates with intervals, differences from nulls
"""

from ..spurious.study import SpuriousGround, grounded_specs
from .aggregation import MEASURES as AGGREGATION_MEASURES
from .aggregation import aggregation_specs
from .planted import planted_grouping
from .study import METHODS as GROUP_METHODS
from .study import Grouping

__all__ = [
    "AGGREGATION_MEASURES",
    "GROUP_METHODS",
    "Grouping",
    "SpuriousGround",
    "aggregation_specs",
    "grounded_specs",
    "planted_grouping",
]
