"""What is measured of the readers, and what VisionLAN claims."""

from __future__ import annotations

import polars as pl

from ..comparison import Claim, Measure

COVERS = {
    "clean": "nothing on it",
    "columns": "the letter's columns hidden in the tower's output",
    "weak": "one stroke across the letter",
    "heavy": "two strokes across the letter",
    "full": "the letter covered",
    "strings": "random strings, nothing on them",
    "signs": "signs of scenes, nothing on them",
}
"""Condition -> in words."""
_TITLES = {"letter": "the letter", "word": "the whole word"}


def _read(condition: str, what: str) -> Measure:
    title = f"{_TITLES[what]}: {COVERS[condition]}"
    return Measure(title, pl.col("condition") == condition, pl.col(what).cast(pl.Boolean))


OF_READING: dict[str, Measure] = {
    f"{condition}-{what}": _read(condition, what) for condition in COVERS for what in _TITLES
}
"""Name -> share of boards on which the one letter, or the whole word, was read right."""


def _place(column: str, title: str) -> Measure:
    return Measure(title, pl.col("condition") == "clean", pl.col(column).cast(pl.Float64))


OF_MASKS: dict[str, Measure] = {
    "width": _place("width", "the letter's share of the columns"),
    "attention_inside": _place("attention_inside", "its slot's attention, share inside"),
    "attention_peak": _place("attention_peak", "its slot's attention, peak inside"),
    "learned_inside": _place("learned_inside", "the learned mask, share inside"),
    "learned_peak": _place("learned_peak", "the learned mask, peak inside"),
}
"""Name -> whether a mask lies on the letter that it is to hide."""

_COVERED = {f"{condition}-letter": 1 for condition in ("columns", "weak", "heavy", "full")}
_CONTROLS = ("vision", "strips", "two-step")

READING_CLAIMS: dict[str, Claim] = {
    name: Claim(
        f"letters that nobody can see are read by language, if training hides them {where}",
        name,
        _CONTROLS,
        _COVERED,
        no_worse=("clean-word", "strings-word"),
    )
    for name, where in {
        "visionlan": "with a learned mask",
        "attention": "where the reader itself looks",
    }.items()
}
"""Arm -> claim."""
