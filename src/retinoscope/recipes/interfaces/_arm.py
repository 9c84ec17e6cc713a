"""An arm of the comparison: an interface, how it is trained before a language model, and why."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from ...data.scenes import SceneOptions
from ...interfaces import Seen, Towers, VisualInterface
from ..pocket import Report, Stage
from ..pocket._bank import Bank
from ._matching import Captions, Matching
from ._world import OPTIONS

SCENES = 20_000
"""The training scenes of the whole recipe."""
Given = Callable[[np.ndarray, Seen], Seen]
"""What an interface is given of the scenes with these numbers, made of what it saw there."""


@dataclass(frozen=True, eq=False)
class SceneBatch:
    """The scenes of one training step.

    Attributes:
        images: as drawn.
        seen: by the frozen parts.
        captions: nothing but objects, colours and their order from left to right.
    """

    images: UInt8[Tensor, "batch height width 3"]
    seen: Seen
    captions: Captions


class FirstStage(nn.Module, ABC):
    """What is trained beside an interface before it meets a language model, and its losses.

    It holds only what the losses need beyond the interface, which is trained with it.
    """

    def take(self, interface: Any, towers: Towers) -> None:
        """Takes what the losses need of the trained towers; nothing, by default.

        Args:
            interface: with the towers in place.
        """

    @abstractmethod
    def losses(
        self, interface: Any, batch: SceneBatch, generator: torch.Generator
    ) -> dict[str, Float[Tensor, ""]]:
        """The loss of each objective; random draws come from `generator` alone."""


class MatchingStage(FirstStage):
    """Contrast, matching and captioning, as in BLIP-2."""

    def __init__(self, interface: VisualInterface, n_words: int) -> None:
        super().__init__()
        self.heads = Matching(interface.shape.width, n_words)

    def losses(
        self, interface: Any, batch: SceneBatch, generator: torch.Generator
    ) -> dict[str, Float[Tensor, ""]]:
        return self.heads(interface, batch.seen, batch.captions, generator)


@dataclass(frozen=True, eq=False)
class Ground:
    """What all arms share: towers, language model and training scenes."""

    towers: Towers
    decoder: LlamaForCausalLM
    bank: Bank
    work: Path
    report: Report


def shorter_with(n_scenes: int) -> float:
    """By how much stages of fixed length are shortened on fewer scenes than the whole recipe's."""
    return min(1.0, n_scenes / SCENES)


@dataclass(frozen=True)
class Arm:
    """One trained interface of the comparison.

    Attributes:
        interface: a name from `interfaces.INTERFACES`.
        settings: of the interface, without the tower and the text side.
        what: in one sentence.
        first: makes the first stage from the untrained interface and the size of the vocabulary;
            None if the interface starts in front of the language model.
        weights: of the first stage's losses; a loss that is not named counts once.
        reads_text: whether the interface has a text side in the first stage ("n_words").
        more_ids: ids of the text side beyond the vocabulary; one starts a caption to be generated.
        prepare: trains or loads what is frozen in the interface besides the shared towers; called
            with the interface and the `Ground`, and has to give the same each time.
        speaking: length of a last stage in which the language model learns to write images, in the
            interface's codes.
        reading: name of the arm whose training in front of the language model it shares; its own
            by default.
        against: the arms of equal size that it is compared with.
        scenes: that it is trained and judged on.
        given: makes, for a bank, what the interface is given in place of what it sees there; for
            controls that take their choice from the truth, and so are no models for other images.
    """

    interface: str
    settings: Mapping[str, Any]
    what: str
    first: Callable[[Any, int], FirstStage] | None = MatchingStage
    weights: Mapping[str, float] = field(default_factory=dict)
    reads_text: bool = True
    more_ids: int = 1
    prepare: Callable[[Any, Any], None] | None = None
    against: tuple[str, ...] = ()
    speaking: Stage | None = None
    reading: str = ""
    scenes: SceneOptions = OPTIONS
    given: Callable[[Bank], Given] | None = None


BASELINES: dict[str, Arm] = {
    "projector": Arm(
        "projector",
        {"ff": 1024},
        "one token for each patch of the contrastive tower, as in LLaVA",
        first=None,
        reads_text=False,
    ),
    "qformer": Arm(
        "qformer",
        {"queries": 16, "layers": 4, "ff": 384},
        "16 queries that read the contrastive tower, as in BLIP-2",
    ),
}
