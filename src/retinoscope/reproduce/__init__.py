"""The whole paper in one call: Neo et al. 2024 on any model and data, next to its own numbers.

report = neo2024(vlm, Data(Once(partial(open_source, "coco:coco"))), "runs/neo2024")
report.write()
"""

from ._data import Once, OpenedData, read_questions
from ._differences import DIFFERENCES, Difference
from ._neo2024 import PLAN, compose_neo2024, differences_of
from ._plan import ReproductionPlan
from ._run import neo2024

__all__ = [
    "DIFFERENCES",
    "PLAN",
    "Difference",
    "Once",
    "OpenedData",
    "ReproductionPlan",
    "compose_neo2024",
    "differences_of",
    "neo2024",
    "read_questions",
]
