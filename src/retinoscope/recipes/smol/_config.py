"""Sizes and budgets of the smol recipe: the settings that a reader may want to change."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ...pocket.smol.parts import sha256
from ..pocket._config import Stage

_ADAPTER = Stage(steps=4000, batch=64, lr=2e-3, warmup=100, weight_decay=0.01)
_LORA = Stage(steps=1500, batch=64, lr=5e-4, warmup=50, weight_decay=0.01)


@dataclass(frozen=True)
class Eyes:
    """The features that the adapter reads (see `LiteConfig`)."""

    image_size: int = 384
    patch_size: int = 32
    stages: tuple[str, ...] = ("stage5", "stage6", "stage7")
    place: bool = True

    @property
    def locations(self) -> int:
        return (self.image_size // self.patch_size) ** 2

    @property
    def options(self) -> dict[str, Any]:
        """As `LiteConfig` takes them."""
        return asdict(self) | {"stages": list(self.stages)}


@dataclass(frozen=True)
class SmolRecipe:
    """The whole training of an adapter, and of the second variant.

    Args:
        scenes: drawn scenes, of all kinds; `packings` random choices of questions about each.
        text_tokens: room for the questions and answers that share one image.
        rates: learning rates that are tried for `trial_steps` steps each; the one with the lowest
            loss on held-out scenes is used.
        adapter, lora: the two stages; `lora` begins with the adapter that the first one ended with.
        rank: of the low-rank updates of the language model's matrices, and `alpha` / `rank` their
            scale.
        int8: the adapter's stage multiplies with the frozen language model in 8-bit integers: twice
            as fast on a CPU, and not for GPUs. Results are measured without.
    """

    eyes: Eyes = field(default_factory=Eyes)
    seed: int = 0
    scenes: int = 40_000
    packings: int = 2
    text_tokens: int = 256
    rates: tuple[float, ...] = (2e-3,)
    trial_steps: int = 150
    adapter: Stage = _ADAPTER
    lora: Stage = _LORA
    rank: int = 16
    alpha: int = 32
    int8: bool = False

    def scaled(self, factor: float) -> SmolRecipe:
        """The same recipe with scenes and stages `factor` times as many and as long."""
        return replace(
            self,
            scenes=max(64, round(self.scenes * factor)),
            trial_steps=max(1, round(self.trial_steps * factor)),
            adapter=self.adapter.scaled(factor),
            lora=self.lora.scaled(factor),
        )


@dataclass(frozen=True)
class Parts:
    """Files of the two frozen parts."""

    language: Path
    vision: Path

    def hashes(self) -> dict[str, str]:
        """SHA-256 of each part's file; empty for a language model in a folder."""
        language = sha256(self.language) if self.language.is_file() else ""
        return {"language": language, "vision": sha256(self.vision)}


@dataclass(frozen=True)
class Losses:
    """Mean loss of held-out answers: with their own image, and with another scene's.

    The second is what questions and habits alone give away.
    """

    own: float
    other: float
