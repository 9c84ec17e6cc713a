"""Finds out whose gaze the data holds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from ...data import Sample

_LOOKED_AT = 20


def provenances(samples: Sequence[Sample]) -> list[str]:
    """Provenances in the first readable samples; empty if there is no gaze."""
    for index in islice(range(len(samples)), _LOOKED_AT):
        try:
            attention = samples[index].attention
        except Exception:
            # The study writes a row with the error.
            continue
        if attention:
            return sorted({gaze.provenance for gaze in attention})
    return []
