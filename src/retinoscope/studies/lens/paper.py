"""The best layer in Neo et al. 2024: the mean over images of its share, and that layer."""

from __future__ import annotations

from .._paper import PaperNumber

NUMBERS = (
    PaperNumber({"of": "share"}, 0.237, "section 4.1", "R, P"),
    PaperNumber(
        {"of": "layer"},
        25.7,
        "section 4.1; of 33 entries, 0- or 1-based is not stated",
        "R, P",
    ),
)
