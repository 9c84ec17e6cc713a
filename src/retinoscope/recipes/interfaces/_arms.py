"""All arms of the comparison, by name."""

from __future__ import annotations

from ._arm import BASELINES, Arm
from ._lavit import LAVIT_ARMS
from ._lyrics import LYRICS_ARMS
from ._scl import SCL_ARMS
from ._visionlan import VISIONLAN_ARMS
from ._x_former import X_FORMER_ARMS

STATE_ARMS: dict[str, Arm] = {**BASELINES, **LYRICS_ARMS, **SCL_ARMS, **X_FORMER_ARMS}
"""Those whose tokens are patches, queries or fused states, as many for every image."""

ARMS: dict[str, Arm] = {**STATE_ARMS, **VISIONLAN_ARMS, **LAVIT_ARMS}
"""Name -> arm, the packaged ones and their controls."""

SYSTEMS = ("projector", "qformer", "lyrics", "scl", "x-former")
"""The arms that are packaged."""
