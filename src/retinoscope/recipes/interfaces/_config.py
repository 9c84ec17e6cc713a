"""Settings of the interfaces' towers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ...interfaces import TowersShape
from ..pocket import Stage

_KINDS = Stage(steps=4000, batch=64, lr=1.5e-3, warmup=300)
_SMALL = Stage(steps=2500, batch=64, lr=1e-3)
_WHOLE = Stage(steps=300, batch=32, lr=3e-4)
_CONTRASTIVE = Stage(steps=900, batch=64, lr=5e-4)
_MAE = Stage(steps=700, batch=64, lr=1e-3)


@dataclass(frozen=True)
class TowersRecipe:
    """Settings of the two towers that stand before the interfaces.

    The stage `kinds` shows `seen_patches` patches of each scene; `small` does so in other colours,
    with the same weight for each kind of a scene; `whole` shows whole scenes. Both vision towers
    start from the tower of `whole`. In the stage `contrastive`, `patch_weight` is the weight of the
    loss of `whole`, and `swapped_kinds` adds captions in which one kind is wrong. The gate's probes
    are fitted on `fit_scenes` held-out scenes and judged on `test_scenes` others.
    """

    shape: TowersShape = field(default_factory=TowersShape)
    seed: int = 0
    scenes: int = 20_000
    seen_patches: int = 24
    kinds: Stage = _KINDS
    small: Stage = _SMALL
    whole: Stage = _WHOLE
    contrastive: Stage = _CONTRASTIVE
    mae: Stage = _MAE
    patch_weight: float = 0.2
    swapped_kinds: bool = True
    fit_scenes: int = 3000
    test_scenes: int = 600

    def scaled(self, factor: float) -> TowersRecipe:
        """Returns the recipe with every stage, and the scenes, `factor` times as long."""
        return replace(
            self,
            scenes=max(64, round(self.scenes * factor)),
            kinds=self.kinds.scaled(factor),
            small=self.small.scaled(factor),
            whole=self.whole.scaled(factor),
            contrastive=self.contrastive.scaled(factor),
            mae=self.mae.scaled(factor),
            fit_scenes=max(32, round(self.fit_scenes * factor)),
            test_scenes=max(16, round(self.test_scenes * factor)),
        )
