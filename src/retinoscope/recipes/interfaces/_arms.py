"""All arms of the comparison, by name."""

from __future__ import annotations

from ._arm import BASELINES, Arm
from ._lyrics import LYRICS_ARMS
from ._scl import SCL_ARMS
from ._x_former import X_FORMER_ARMS

ARMS: dict[str, Arm] = {**BASELINES, **LYRICS_ARMS, **SCL_ARMS, **X_FORMER_ARMS}
"""Name -> arm, the packaged ones and their controls."""

SYSTEMS = ("projector", "qformer", "lyrics", "scl", "x-former")
"""The arms that are packaged."""
