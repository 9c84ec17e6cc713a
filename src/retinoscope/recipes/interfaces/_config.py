"""Settings of the interfaces' towers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ...interfaces import TowersShape
from ..pocket import Stage

_KINDS = Stage(steps=2000, batch=32, lr=1e-3, warmup=200)
_CONTRASTIVE = Stage(steps=900, batch=64, lr=5e-4)
_MAE = Stage(steps=1400, batch=64, lr=1e-3)


@dataclass(frozen=True)
class TowersRecipe:
    """Settings of the two towers that stand before the interfaces.

    Both vision towers start from the tower of the stage `kinds`. `patch_weight` is the weight of
    that stage's loss in the other two. The gate's probes are fitted on `fit_scenes` held-out scenes
    and judged on `test_scenes` others.
    """

    shape: TowersShape = field(default_factory=TowersShape)
    seed: int = 0
    scenes: int = 20_000
    kinds: Stage = _KINDS
    contrastive: Stage = _CONTRASTIVE
    mae: Stage = _MAE
    patch_weight: float = 0.0
    fit_scenes: int = 3000
    test_scenes: int = 600

    def scaled(self, factor: float) -> TowersRecipe:
        """Returns the recipe with every stage, and the scenes, `factor` times as long."""
        return replace(
            self,
            scenes=max(64, round(self.scenes * factor)),
            kinds=self.kinds.scaled(factor),
            contrastive=self.contrastive.scaled(factor),
            mae=self.mae.scaled(factor),
            fit_scenes=max(32, round(self.fit_scenes * factor)),
            test_scenes=max(16, round(self.test_scenes * factor)),
        )
