"""Perceptual grouping: which class each location is given, and which locations go together.

_subjects   the models that are compared, their untrained copies, their words and prompts
_view       one image on one grid of locations: pixels of classes and instances
_top_down   labels from text, from the lens, from attribution
_bottom_up  groups without text, and their nulls
_study      the study itself (`Grouping`)
_summary    estimates with intervals, differences from nulls
"""

from ._aggregation import MEASURES as AGGREGATION_MEASURES
from ._aggregation import aggregation_specs
from ._planted import planted_grouping
from ._spurious import SpuriousGround, grounded_specs
from ._study import METHODS as GROUP_METHODS
from ._study import Grouping

__all__ = [
    "AGGREGATION_MEASURES",
    "GROUP_METHODS",
    "Grouping",
    "SpuriousGround",
    "aggregation_specs",
    "grounded_specs",
    "planted_grouping",
]
