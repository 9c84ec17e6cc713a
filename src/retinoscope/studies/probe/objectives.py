"""One name for the encoders of one architecture that were trained for different objectives."""

from __future__ import annotations

from ...encoders import SMALL, small_names
from ...errors import InputError

ALL = f"{SMALL}objectives"
OBJECTIVES = (
    "contrastive-class",
    "contrastive-max",
    "completion",
    "captioning",
    "mae",
    "distillation",
    "supervised",
    "random",
)
"""The objectives that `ALL` compares, where there are encoders of them."""


def encoders_named(name: str) -> tuple[str, ...]:
    """The encoders that a name stands for: several for "small:objectives", otherwise itself.

    Raises:
        InputError: the folder holds no encoder of any of the objectives.
    """
    kind, _, folder = name.partition("@")
    if kind != ALL:
        return (name,)
    kept = small_names(folder or None, OBJECTIVES)
    if not kept:
        raise InputError(
            f"expected trained encoders ({', '.join(OBJECTIVES)}) in {folder or 'the package'}, "
            "got none: train them with `retinoscope train encoders`"
        )
    return kept
