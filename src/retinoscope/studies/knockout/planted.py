"""Attention knockout on the planted models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._planted import Measured, largest, summary_of
from .study import AttentionKnockout

if TYPE_CHECKING:
    from ...data import Sample
    from ...engine import VLM


def measure(vlm: VLM, samples: Sequence[Sample]) -> Measured:
    rows = summary_of(
        AttentionKnockout(
            vlm,
            samples,
            sources=("visual", "object"),
            targets=("last", "question"),
            windows=("all",),
        )
    )
    return {
        f"relative accuracy without {source} -> {target}": largest(
            rows, "accuracy", token_set=source, target=target
        )
        for source, target in (("visual", "question"), ("visual", "last"), ("object", "last"))
    }
