"""The comparison of encoders: one architecture, one budget, several objectives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "contrastive", "completion", "captioning", "mae", "distillation", "supervised", "random"
]
Aggregation = Literal["class", "average", "max"]
AGGREGATIONS: tuple[Aggregation, ...] = ("class", "average", "max")


@dataclass(frozen=True)
class Objective:
    """The training objective of one encoder of the comparison.

    Attributes:
        kind: the loss.
        aggregation: how a contrastive encoder makes one vector of an image.
        start: the objective whose encoder of the same seed it starts from; random weights if None.
        kept: share of the patches that a training step of a contrastive encoder sees.
        grounded: trained on scenes whose ground goes with their object in 95 of 100.
        what: in one sentence.
    """

    kind: Kind
    what: str
    aggregation: Aggregation = "class"
    start: str | None = None
    kept: float = 1.0
    grounded: bool = False


def _contrastive() -> dict[str, Objective]:
    names = {
        "class": "the class token",
        "average": "the average over patches",
        "max": "the channel-wise maximum over patches",
    }
    objectives: dict[str, Objective] = {}
    for way in AGGREGATIONS:
        what = f"captions, contrastive, by {names[way]}"
        objectives[f"contrastive-{way}"] = Objective("contrastive", what, way)
        objectives[f"contrastive-{way}-self"] = Objective(
            "contrastive", f"{what}, from the self-distilled encoder", way, "distillation"
        )
    return objectives


OBJECTIVES: dict[str, Objective] = {
    "random": Objective("random", "not trained"),
    "distillation": Objective("distillation", "images alone: self-distillation (as DINO)"),
    "mae": Objective("mae", "images alone: hidden patches painted from the others"),
    "captioning": Objective("captioning", "captions, word by word, by a small decoder"),
    "supervised": Objective("supervised", "names of the objects, as yes or no each"),
    "completion": Objective(
        "completion", "captions: contrast, matching, hidden words, and completion (as SCL)"
    ),
    **_contrastive(),
    "contrastive-max-self-drop": Objective(
        "contrastive",
        "as contrastive-max-self, half of the patches left out in training",
        "max",
        "distillation",
        kept=0.5,
    ),
    **{
        f"grounded-{way}": Objective(
            "contrastive",
            f"as contrastive-{way}-self, on scenes whose ground goes with the object",
            way,
            "distillation",
            grounded=True,
        )
        for way in ("class", "max")
    },
}
"""Name -> objective, ordered so that each comes after the one that it starts from."""

ALIASES = {"contrastive": "contrastive-class"}


@dataclass(frozen=True)
class TowerSizes:
    """Architecture of every encoder of the comparison, and of the small heads beside them."""

    image: int = 144
    patch: int = 16
    width: int = 128
    layers: int = 6
    heads: int = 4
    ff: int = 384
    text_layers: int = 2
    text_ff: int = 256
    text_tokens: int = 40
    prototypes: int = 512

    @property
    def grid(self) -> int:
        return self.image // self.patch
