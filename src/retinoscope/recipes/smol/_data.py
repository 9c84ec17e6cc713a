"""The adapter's training data: features and conversations of scenes and of captioned images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerBase

from ...data import Sample
from ...errors import InputError
from ...pocket.smol.tower import LiteTower
from ..pocket._bank import Bank, SceneTexts
from ..pocket._loop import Report
from ._config import SmolRecipe
from ._features import cache_features, square, standardise
from ._rows import PackedRows, PromptFrame, build_rows

WATCHED = 256
"""Number of held-out scenes whose loss is watched."""


@dataclass(frozen=True)
class TrainingData:
    """Features and conversations, in the same order; row r belongs to scene r // packings."""

    features: np.ndarray | Tensor
    rows: PackedRows
    tower: LiteTower

    def visual(self, scenes: Tensor) -> Tensor:
        """Returns the scenes' features as the tower outputs them: standardised."""
        if isinstance(self.features, Tensor):
            raw = self.features[scenes]
        else:
            raw = torch.from_numpy(self.features[scenes.cpu().numpy()])
        return (raw.to(self.tower.mean.device).float() - self.tower.mean) / self.tower.std


def training_data(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    bank: Bank,
    unseen: Bank,
    samples: Sequence[Sample],
    recipe: SmolRecipe,
    work: Path,
    device: torch.device,
    report: Report,
) -> tuple[TrainingData, TrainingData]:
    """Returns training and held-out data; sets the tower's constants from the former."""
    tower: Any = model.model.vision_tower
    assert isinstance(tower, LiteTower)
    frame = PromptFrame.of(tokenizer, recipe.eyes.locations)

    def build(name: str, images: Any, texts: Sequence[SceneTexts], packings: int) -> TrainingData:
        features = cache_features(tower, images, work / f"features-{name}.npy", report)
        if name == "scenes":
            standardise(tower, features)
        rows = build_rows(
            work,
            name,
            texts,
            tokenizer,
            frame,
            text_tokens=recipe.text_tokens,
            packings=packings,
            seed=recipe.seed,
            report=report,
        )
        return TrainingData(features, rows.to(device), tower)

    train = build("scenes", bank.images, bank.texts, recipe.packings)
    if samples:
        texts = [captioned(sample) for sample in samples]
        squares = [square(sample.image, recipe.eyes.image_size) for sample in samples]
        train = _joined(train, build("images", squares, texts, recipe.packings))
    n = min(WATCHED, len(unseen))
    return train, build("watched", unseen.images[:n], unseen.texts[:n], 1)


def captioned(sample: Sample) -> SceneTexts:
    if not sample.captions:
        raise InputError(f"expected a caption for every image, got none for {sample.id}: add one")
    return SceneTexts(sample.captions[0], sample.questions)


def _joined(first: TrainingData, second: TrainingData) -> TrainingData:
    """Concatenates two data sets in memory."""
    features = torch.cat([_tensor(first.features), _tensor(second.features)])
    return TrainingData(features, first.rows.joined(second.rows), first.tower)


def _tensor(features: np.ndarray | Tensor) -> Tensor:
    return features if isinstance(features, Tensor) else torch.from_numpy(np.array(features))
