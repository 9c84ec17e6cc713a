"""Token ablation on the planted models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._planted import Measured, largest, summary_of
from .study import TokenAblation

if TYPE_CHECKING:
    from ...data import Sample
    from ...engine import VLM


_MOST = 32
"""Number of visual tokens, of 36, without which hardly anything is left to see."""


def measure(vlm: VLM, samples: Sequence[Sample]) -> Measured:
    rows = summary_of(
        TokenAblation(
            vlm,
            samples,
            tasks=("generative",),
            modes=("corrected",),
            conditions=("object", "random"),
            sizes=(_MOST,),
        )
    )
    return {
        "words lost without the object's tokens": largest(rows, "decrease", token_set="object"),
        f"words lost without {_MOST} random visual tokens of 36": largest(
            rows, "decrease", token_set="random", n_drawn=_MOST
        ),
    }
