"""Whose looking the data knows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from ...data import Sample

_LOOKED_AT = 20


def provenances(samples: Sequence[Sample]) -> list[str]:
    """Provenances in the first samples that can be read; none where nobody looked."""
    for index in islice(range(len(samples)), _LOOKED_AT):
        try:
            attention = samples[index].attention
        except Exception:
            # It gets its row with the error from the study.
            continue
        if attention:
            return sorted({one.provenance for one in attention})
    return []
