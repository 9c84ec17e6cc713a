"""Probes of the planted encoders, whose mechanism is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...data import Sample
from ...store import Scalar
from .._planted import Measured, summary_of
from .study import Probe

if TYPE_CHECKING:
    from ...engine import VLM

LAYER = "projector"
"""What the decoder receives: the mechanism is planted on the vision side."""
TIMES = 10
"""Factor on the number of images that other studies need, because probes must be trained."""
PLANTED_TASKS = ("name", "present", "semantic", "foreground", "relation")


def measure(vlm: VLM, samples: Sequence[Sample]) -> Measured:
    """Each axis as a share of the way from the constant answer to the best possible one.

    The best is 1 where masks are given; elsewhere it is what one answer per location can reach.
    """
    study = Probe(
        vlm, samples, tasks=PLANTED_TASKS, layers=(LAYER,), seeds=1, controls=False, n_examples=0
    )
    rows = {(row["task"], row["measure"]): row for row in summary_of(study)}
    return {
        title: _gained(rows.get(key))
        for title, key in {
            "names in the image, from the mean of its locations (mAP)": ("present", "map"),
            "names of objects, their masks given": ("name", "class_accuracy"),
            "names at each location (mIoU)": ("semantic", "miou"),
            "object or background at each location (IoU)": ("foreground", "iou"),
            "which of two objects is left or above, masks given": ("relation", "class_accuracy"),
        }.items()
    }


def _gained(row: Mapping[str, Scalar] | None) -> float | None:
    if row is None or row["value"] is None:
        return None
    best = 1.0 if row["bound"] is None else float(row["bound"])
    least = float(row["constant"] or 0.0)
    return (float(row["value"]) - least) / (best - least) if best > least else None
