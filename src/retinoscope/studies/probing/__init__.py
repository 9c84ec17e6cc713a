"""Probes: what light heads read from frozen layers, of what is shown and of where it is.

_tasks      what is asked, and how it is scored
_truth      an image's objects, and where they lie on a grid of locations
_labels     labels of objects, pairs and images; control labels
_heads      the heads that are fitted
_study      the study itself (`Probe`)
_summary    estimates with intervals, paired differences
"""

from ._planted import planted_probe
from ._sources import short_name
from ._study import Probe
from ._tasks import MEASURES as PROBE_MEASURES
from ._tasks import TASKS as PROBE_TASKS

__all__ = [
    "PROBE_MEASURES",
    "PROBE_TASKS",
    "Probe",
    "planted_probe",
    "short_name",
]
