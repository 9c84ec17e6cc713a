"""The settings of the whole comparison."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ...encoders.comparison import TowerSizes
from ..pocket import Stage

BUDGET = Stage(steps=400, batch=512, lr=1e-3, warmup=40, weight_decay=0.05)


@dataclass(frozen=True)
class EncoderRecipe:
    """The whole comparison.

    `scenes` are drawn once and shared; `grounded_scenes` too. Every objective takes `stage`: equal
    steps, equal images a step.
    """

    sizes: TowerSizes = field(default_factory=TowerSizes)
    scenes: int = 24_000
    grounded_scenes: int = 8_000
    stage: Stage = BUDGET

    def scaled(self, factor: float) -> EncoderRecipe:
        """The same recipe with `factor` times the steps and the scenes."""
        scenes = max(64, round(self.scenes * factor))
        batch = min(self.stage.batch, scenes // 2)
        return replace(
            self,
            scenes=scenes,
            grounded_scenes=max(64, round(self.grounded_scenes * factor)),
            stage=replace(self.stage.scaled(factor), batch=batch),
        )
