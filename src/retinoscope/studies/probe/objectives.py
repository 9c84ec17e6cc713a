"""Encoders of one architecture that were trained for different objectives, as one name."""

from __future__ import annotations

from ...encoders import SMALL, small_names
from ...errors import InputError

ALL = f"{SMALL}objectives"
OBJECTIVES = (
    "contrastive-class",
    "contrastive-max",
    "captioning",
    "mae",
    "distillation",
    "supervised",
    "random",
)
"""What `ALL` compares."""


def encoders_named(name: str) -> tuple[str, ...]:
    """The encoders that a name stands for: several of "small:objectives", of others itself.

    Raises:
        InputError: no encoder of any objective in the folder.
    """
    what, _, folder = name.partition("@")
    if what != ALL:
        return (name,)
    kept = small_names(folder or None, OBJECTIVES)
    if not kept:
        raise InputError(
            f"expected trained encoders ({', '.join(OBJECTIVES)}) in {folder or 'the package'}, "
            "got none: train them with `retinoscope train encoders`"
        )
    return kept
