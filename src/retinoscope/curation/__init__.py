"""Choosing the objects to study: named filters, counted at each step, stored in a file.

    curated = Curation(vlm, samples, filters=paper_filters(), limit=1000).run("runs/curation")
    print(curated)                             # images and objects left after each filter
    TokenAblation(vlm, curated.apply(samples))

The file `curation.json` can be shared: `Curated.load(file).apply(samples)` selects the same objects
of the same data on another machine.
"""

from ._crop_filter import SurvivesCrop
from ._curated import Count, Curated, Kept, KeptObject
from ._curation import Curation
from ._filters import (
    Area,
    AtMost,
    Filter,
    First,
    HasQuestion,
    OneInstance,
    Verdict,
)
from ._model_filters import BaselineCorrect, Hallucination
from ._paper_filters import paper_filters
from ._view import SampleView

__all__ = [
    "Area",
    "AtMost",
    "BaselineCorrect",
    "Count",
    "Curated",
    "Curation",
    "Filter",
    "First",
    "Hallucination",
    "HasQuestion",
    "Kept",
    "KeptObject",
    "OneInstance",
    "SampleView",
    "SurvivesCrop",
    "Verdict",
    "paper_filters",
]
