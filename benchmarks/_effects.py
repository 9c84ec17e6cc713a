"""What measurements of single differences share: models, images, questions, comparisons.

Each measures one difference between the released code of Neo et al. 2024 and corrected rules alone,
on small models or on drawn outlines, and says in a sentence what it found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

import retinoscope as rs
from retinoscope.answers.pieces import Answers
from retinoscope.answers.scoring import ModelOutput, Scorer
from retinoscope.answers.tasks import PREFILL, Ask, polling_text, question_asks
from retinoscope.data import Sample
from retinoscope.engine import VLM, Run
from retinoscope.engine.fill import Fill, Mean

from ._models import random_llavas

TOPS = (5, 10, 20, 40)
STEPS = 20
"""Of integrated gradients."""


@dataclass(frozen=True, eq=False)
class Unchanged(Fill):
    """`fill` on the visual tokens, and the run's own embeddings elsewhere."""

    fill: Fill

    def values(self, run: Any, positions: tuple[int, ...]) -> Tensor:
        values = self.fill.values(run, positions).clone()
        seen = set(run.images[0].positions)
        for row, position in enumerate(positions):
            if position not in seen:
                values[row] = run.embeddings[position]
        return values


class Bench:
    """The models and images that the measurements share."""

    def __init__(self, scenes: int) -> None:
        self.samples: Sequence[Sample] = rs.data.scenes(scenes)

    @cached_property
    def pocket(self) -> VLM:
        return rs.load("pocket")

    @cached_property
    def mean(self) -> Mean:
        return rs.fill.mean(self.pocket, self.samples)

    @cached_property
    def scorer(self) -> Scorer:
        return Scorer(Answers(self.pocket.tokenizer))

    def polled(self) -> Iterator[tuple[Sample, int, Run]]:
        """Each scene's first object with a name of its own, and the run that asks for it."""
        for sample in self.samples:
            names = [obj.name for obj in sample.objects]
            index = next((i for i, name in enumerate(names) if names.count(name) == 1), None)
            if index is not None:
                prompt = self.pocket.prompt(sample.image, polling_text(names[index]))
                yield sample, index, self.pocket.run(prompt)

    def asked(self, kinds: Sequence[str]) -> Iterator[tuple[Sample, Ask, Run]]:
        """Each scene's first question of these kinds that is answered right."""
        for sample in self.samples:
            for ask in question_asks(sample, kinds, PREFILL, 1):
                run = self.pocket.run(
                    self.pocket.prompt(sample.image, ask.text, prefill=ask.prefill)
                )
                if self.scorer.score(
                    ask, "corrected", ModelOutput(run.logits, after=run.ending)
                ).correct:
                    yield sample, ask, run

    def random_runs(self, n_models: int = 4, n_images: int = 4) -> Iterator[tuple[VLM, Run, Mean]]:
        """Runs of random LLaVAs on noise, with a mean token of other noise."""
        for seed, vlm in enumerate(random_llavas(n_models)):
            images = [noise(100 * seed + i) for i in range(2 * n_images)]
            fill = rs.fill.mean(vlm, images[n_images:], cache=False)
            for image in images[:n_images]:
                yield vlm, vlm.run(vlm.prompt(image, "Is there a cat in this image?")), fill


def noise(seed: int) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (7, 7, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((56, 56), Image.Resampling.BICUBIC)


def likeliest(run: Run, pieces: Sequence[int]) -> int:
    return max(pieces, key=lambda piece: float(run.logits[piece]))


def order(scores: Tensor) -> list[int]:
    return scores.argsort(descending=True, stable=True).tolist()


def shared(pairs: Sequence[tuple[list[int], list[int]]]) -> str:
    """Mean share of the top 5, 10, 20 and 40 that two rankings have in common."""
    found = [np.mean([len({*a[:n]} & {*b[:n]}) / n for a, b in pairs]) for n in TOPS]
    return ", ".join(f"{share:.2f}" for share in found)
