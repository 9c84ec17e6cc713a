"""Sizes, stages and budgets of the pocket recipe: the settings that a reader may want to change."""

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
"""Model name -> what its language model read before it ever saw an image."""


@dataclass(frozen=True)
class Sizes:
    """Architecture of the pocket VLM; the same for all three variants."""

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
    """One optimisation: `steps` of `batch` examples, cosine from `lr` after `warmup` steps."""

    steps: int
    batch: int
    lr: float
    warmup: int = 100
    weight_decay: float = 0.02

    def lasting(self, steps: int) -> Stage:
        """The same stage with another number of steps, at most a quarter of them for warm-up."""
        steps = max(1, steps)
        return replace(self, steps=steps, warmup=min(self.warmup, max(1, steps // 4)))

    def scaled(self, factor: float) -> Stage:
        """The same stage, `factor` times as long."""
        return self.lasting(round(self.steps * factor))


@dataclass(frozen=True)
class Recipe:
    """The whole training. `scenes` are drawn once and shared by all stages and variants."""

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
    """Variants whose last stage takes so many times as many steps.

    After 4,000, the language model that has read plain sentences still gives another object's
    colour in half of the questions; the other two do not.
    """

    def instruct_of(self, variant: str) -> Stage:
        """The last stage of one variant."""
        return replace(self.instruct, steps=self.instruct.steps * self.slow.get(variant, 1))

    def scaled(self, factor: float) -> Recipe:
        """The same recipe with every stage (and the scene bank) `factor` times as long."""
        return replace(
            self,
            scenes=max(64, round(self.scenes * factor)),
            instruct_scenes=max(64, round(self.instruct_scenes * factor)),
            vision=self.vision.scaled(factor),
            language=self.language.scaled(factor),
            adapter=self.adapter.scaled(factor),
            instruct=self.instruct.scaled(factor),
        )
