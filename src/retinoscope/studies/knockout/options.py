"""Options of attention knockout; standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from ..options import Covering, Intervening
from ..token_sets import NOTHING, OBJECT_SETS, RING_1, NamedSet
from ..windows import window_label

Source = Literal[
    "object",
    "object+1",
    "object+2",
    "rest",
    "visual",
    "last-row",
    "question",
    "control",
]
Target = Literal["last", "last-row", "question"]
Window = Literal["early", "early-mid", "mid", "mid-late", "late", "all"]
SOURCES: tuple[Source, ...] = get_args(Source)
USUAL_SOURCES: tuple[Source, ...] = tuple(source for source in SOURCES if source != "visual")
"""Without "visual", all visual tokens: the source of the released code's last-row condition."""
TARGETS: tuple[Target, ...] = get_args(Target)
WINDOWS: tuple[Window, ...] = get_args(Window)
SETS: dict[str, NamedSet] = {
    **OBJECT_SETS,
    **{name: NamedSet(name) for name in ("rest", "visual", "last-row", "question")},
    "control": RING_1.control,
}
"""Name of a source in the options -> in the study's table."""
TARGET_LABELS: dict[str, str] = {
    "last": "last token",
    "last-row": "last visual row",
    "question": "question",
}


@dataclass(frozen=True, kw_only=True)
class KnockoutOptions(Covering, Intervening):
    """Block attention between tokens: along which edges does the answer travel?

    For every question that the model answers correctly, attention from a source to a target is
    masked in a window of layers, and the question is asked again. 1.00 means no impact.

    For example:

        retinoscope knockout pocket scenes:50 --out runs/knockout --slide 3

        retinoscope knockout pocket scenes:50 --targets last --out runs/last

    Args:
        sources: tokens that are hidden; by default all but "visual" (all visual tokens). "control"
            is as many random tokens as the object with one ring has, outside it.
        targets: tokens from which they are hidden.
        windows: windows of layers, those of the paper scaled to the model's depth.
        slide: width in layers of an additional window that slides through the decoder.
        slide_step: layers between two sliding windows.
        mode: rule for correct answers.
        max_questions: maximum number of questions per image.
        prefill: start of the answer to questions that ask for a name (the paper: "It is a").
    """

    sources: tuple[Source, ...] = USUAL_SOURCES
    targets: tuple[Target, ...] = TARGETS
    windows: tuple[Window, ...] = WINDOWS
    slide: int | None = None
    slide_step: int = 1
    mode: Literal["corrected", "paper"] = "corrected"
    max_questions: int | None = None
    prefill: str | None = None


OPTIONS = KnockoutOptions


def condition(row: Mapping[str, object]) -> str | None:
    """Returns the knockout of a row in words; None for the answer before any knockout."""
    tokens = NamedSet.of(row)
    if tokens.token_set in (None, NOTHING):
        return None
    return f"{tokens.label} to {row['target']}, {window_label(row)}"
