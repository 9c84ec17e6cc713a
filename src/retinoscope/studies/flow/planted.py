"""Information flow on the planted models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._planted import Measured, largest, summary_of
from .study import InformationFlow

if TYPE_CHECKING:
    from ...data import Sample
    from ...engine import VLM


def measure(vlm: VLM, samples: Sequence[Sample]) -> Measured:
    through, direct, objects = "image:query", "image:generated", "object:query,object:generated"
    rows = summary_of(
        InformationFlow(
            vlm,
            samples,
            edges=(through, direct, objects),
            readings=("generated",),
            layers=("all",),
            controls=False,
            untrained=False,
        )
    )
    described = [row for row in rows if row["task"] == "description"]
    change = largest(rows, "probability_change", task="question", edges=objects)
    return {
        "F1 of the objects named without image -> query": largest(described, "f1", edges=through),
        "F1 of the objects named without image -> generated": largest(
            described, "f1", edges=direct
        ),
        "loss of the answer's probability without object -> text": None
        if change is None
        else -change,
    }
