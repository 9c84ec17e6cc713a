"""The filters of Neo et al. 2024."""

from __future__ import annotations

from ._crop_filter import SurvivesCrop
from ._filters import Area, AtMost, Filter, First, Mode, OneInstance
from ._model_filters import Hallucination


def paper_filters(
    mode: Mode = "paper",
    *,
    min_area: float | None = 1000,
    max_area: float | None = 2000,
    at_most: int = 3,
    seed: int = 0,
) -> tuple[Filter, ...]:
    """The curation of Neo et al. 2024, section 3, in the order of the released code.

    Args:
        mode: "paper" for the released rules of area, crop and caption, or "corrected".
        min_area, max_area, at_most: the paper's by default; other data have other sizes.
        seed: seed of the hallucination filter's noise.
    """
    return (
        OneInstance(),
        Area(min_area, max_area, mode),
        AtMost(at_most),
        First(1),
        SurvivesCrop(mode),
        Hallucination(mode, seed=seed),
    )
