"""The arm that reads signs, and the same patches without a reader.

Both are trained and judged on scenes of which every second has a sign.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...data.scenes import KINDS, SIGN_WORDS
from ...interfaces import VisionLan
from ..pocket import Stage, optimise
from ._arm import Arm, Ground
from ._seen import cache_seen
from ._world import SIGNED

_FINDER = Stage(steps=300, batch=64, lr=3e-3, warmup=30, weight_decay=0.0)


def find_signs(interface: VisionLan, ground: Ground) -> None:
    """Trains or restores the layer that finds the patches of a sign."""
    bank = ground.bank
    seen = cache_seen(interface, bank, ground.work / "seen", ground.report, ("contrastive",))
    labels = torch.from_numpy(np.asarray(bank.kinds)).flatten(1).long() - 1 - len(KINDS)
    signs = ((labels >= 0) & (labels < len(SIGN_WORDS))).float()

    def loss_at(rng: np.random.Generator) -> Tensor:
        rows = np.sort(rng.choice(len(bank), min(_FINDER.batch, len(bank)), replace=False))
        said = interface.finder(seen.rows(rows)["contrastive"][:, 1:])[..., 0]
        return F.binary_cross_entropy_with_logits(said, signs[torch.from_numpy(rows)])

    optimise(
        "sign-finder",
        _FINDER,
        {"finder": interface.finder},
        loss_at,
        seed=0,
        work=ground.work,
        report=ground.report,
    )


def _arm(interface: str, what: str, **more: Any) -> Arm:
    return Arm(
        interface,
        what=what,
        first=None,
        reads_text=False,
        scenes=SIGNED,
        **more,
    )


VISIONLAN_ARMS: dict[str, Arm] = {
    "visionlan": _arm(
        "visionlan",
        "patches, and behind them the slots in which a frozen reader read a sign",
        settings={"ff": 1024},
        prepare=find_signs,
        against=("visionlan-patches",),
    ),
    "visionlan-patches": _arm("projector", "the same patches alone", settings={"ff": 1072}),
}
