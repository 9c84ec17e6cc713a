"""Settings of the comparison."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ...encoders.comparison import TowerSizes
from ..pocket import Stage

BUDGET = Stage(steps=400, batch=512, lr=1e-3, warmup=40, weight_decay=0.05)


@dataclass(frozen=True)
class EncoderRecipe:
    """Settings of the whole comparison.

    `scenes` are drawn once and shared, as are `grounded_scenes`. Every objective uses `stage`: the
    same number of steps and the same batch size.
    """

    sizes: TowerSizes = field(default_factory=TowerSizes)
    scenes: int = 24_000
    grounded_scenes: int = 8_000
    stage: Stage = BUDGET

    def scaled(self, factor: float) -> EncoderRecipe:
        """The recipe with the numbers of steps and scenes multiplied by `factor`."""
        scenes = max(64, round(self.scenes * factor))
        batch = min(self.stage.batch, scenes // 2)
        return replace(
            self,
            scenes=scenes,
            grounded_scenes=max(64, round(self.grounded_scenes * factor)),
            stage=replace(self.stage.scaled(factor), batch=batch),
        )
