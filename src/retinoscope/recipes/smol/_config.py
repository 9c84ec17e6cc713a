"""Sizes and budgets of the smol recipe."""

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
    """The vision features that the adapter reads (see `LiteConfig`)."""

    image_size: int = 384
    patch_size: int = 32
    stages: tuple[str, ...] = ("stage5", "stage6", "stage7")
    place: bool = True

    @property
    def locations(self) -> int:
        return (self.image_size // self.patch_size) ** 2

    @property
    def options(self) -> dict[str, Any]:
        """The options as `LiteConfig` takes them."""
        return asdict(self) | {"stages": list(self.stages)}


@dataclass(frozen=True)
class SmolRecipe:
    """The training of an adapter, and of the variant with low-rank updates.

    Args:
        scenes: number of drawn scenes, of all kinds; each has `packings` random choices of
            questions.
        text_tokens: number of positions for the questions and answers that share one image.
        rates: learning rates tried for `trial_steps` steps each; the one with the lowest loss on
            held-out scenes is used.
        adapter, lora: the two stages; `lora` starts from the adapter of the first.
        rank: rank of the low-rank updates of the language model's matrices; `alpha` / `rank` is
            their scale.
        int8: use 8-bit integers for products with the frozen language model in the adapter's stage:
            twice as fast on a CPU, not available on GPUs. Results are measured without.
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
        """Returns the recipe with `factor` times as many scenes and steps."""
        return replace(
            self,
            scenes=max(64, round(self.scenes * factor)),
            trial_steps=max(1, round(self.trial_steps * factor)),
            adapter=self.adapter.scaled(factor),
            lora=self.lora.scaled(factor),
        )


@dataclass(frozen=True)
class Parts:
    """Files of the two frozen models."""

    language: Path
    vision: Path

    def hashes(self) -> dict[str, str]:
        """Returns the SHA-256 of each file; "" for a language model in a folder."""
        language = sha256(self.language) if self.language.is_file() else ""
        return {"language": language, "vision": sha256(self.vision)}


@dataclass(frozen=True)
class Losses:
    """Mean loss of held-out answers: with their own image, and with another scene's.

    The second shows how much the questions alone give away.
    """

    own: float
    other: float
