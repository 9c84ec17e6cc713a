"""Sizes, stages and budgets of the pocket recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

Corpus = Literal["maps", "sentences", "none"]

VARIANTS: dict[str, Corpus] = {
    "pocket": "maps",
    "pocket-sentences": "sentences",
    "pocket-none": "none",
}
"""Model name -> corpus that its language model read before it saw any image."""


@dataclass(frozen=True)
class Sizes:
    """Architecture of the pocket models; the same for all three variants."""

    image: int = 144
    patch: int = 12
    vision_width: int = 192
    vision_layers: int = 6
    vision_heads: int = 6
    vision_ff: int = 576
    text_width: int = 128
    text_layers: int = 8
    text_heads: int = 4
    text_ff: int = 384

    @property
    def grid(self) -> int:
        return self.image // self.patch


@dataclass(frozen=True)
class Stage:
    """One optimisation: `steps` batches of `batch` examples; cosine from `lr` after `warmup`."""

    steps: int
    batch: int
    lr: float
    warmup: int = 100
    weight_decay: float = 0.02

    def lasting(self, steps: int) -> Stage:
        """Returns the stage with `steps` steps, at most a quarter of them for warm-up."""
        steps = max(1, steps)
        return replace(self, steps=steps, warmup=min(self.warmup, max(1, steps // 4)))

    def scaled(self, factor: float) -> Stage:
        """Returns the stage, `factor` times as long."""
        return self.lasting(round(self.steps * factor))


@dataclass(frozen=True)
class Recipe:
    """The whole training; `scenes` are drawn once and shared by all stages and variants."""

    sizes: Sizes = field(default_factory=Sizes)
    seed: int = 0
    scenes: int = 30_000
    instruct_scenes: int = 20_000
    text_tokens: int = 112
    vision: Stage = Stage(steps=3200, batch=32, lr=1e-3, warmup=300)
    language: Stage = Stage(steps=900, batch=16, lr=2e-3)
    adapter: Stage = Stage(steps=250, batch=16, lr=2e-3)
    instruct: Stage = Stage(steps=4000, batch=16, lr=2e-3)
    slow: Mapping[str, int] = field(default_factory=lambda: {"pocket-sentences": 2})
    """Variant -> factor on the number of steps of its last stage.

    After 4,000 steps, the language model that read plain sentences still answers half of the
    questions with another object's colour; the other two do not.
    """

    def instruct_of(self, variant: str) -> Stage:
        """Returns the last stage of one variant."""
        return replace(self.instruct, steps=self.instruct.steps * self.slow.get(variant, 1))

    def scaled(self, factor: float) -> Recipe:
        """Returns the recipe with every stage, and the scenes, `factor` times as long."""
        return replace(
            self,
            scenes=max(64, round(self.scenes * factor)),
            instruct_scenes=max(64, round(self.instruct_scenes * factor)),
            vision=self.vision.scaled(factor),
            language=self.language.scaled(factor),
            adapter=self.adapter.scaled(factor),
            instruct=self.instruct.scaled(factor),
        )
