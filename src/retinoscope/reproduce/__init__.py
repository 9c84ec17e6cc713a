"""The whole paper in one call: Neo et al. 2024 on any model and data, each number beside its own.

report = neo2024(vlm, Data(Once(partial(open_source, "coco:coco"))), "runs/neo2024")
report.write()
"""

from ._data import Once, OpenedData, read_questions
from ._plan import ReproductionPlan
from ._run import neo2024

__all__ = ["Once", "OpenedData", "ReproductionPlan", "neo2024", "read_questions"]
