"""Probes: what light heads read from frozen layers, of what is shown and of where it is.

tasks       what is asked, and how it is scored
truth       an image's objects, and where they lie on a grid of locations
labels      labels of objects, pairs and images; control labels
heads       the heads that are fitted
study       the study itself (`Probe`)
summary     estimates with intervals, paired differences
"""

from .planted import planted_probe
from .sources import short_name
from .study import Probe
from .tasks import MEASURES as PROBE_MEASURES
from .tasks import TASKS as PROBE_TASKS

__all__ = [
    "PROBE_MEASURES",
    "PROBE_TASKS",
    "Probe",
    "planted_probe",
    "short_name",
]
