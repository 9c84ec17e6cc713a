"""The training of LaVIT's tokenizer on what a frozen tower saw.

Source: Jin et al. 2024 (LaVIT, arXiv 2309.04669), section 3.1, and answers of its authors: first
without rounding to codes, then, with the selector frozen, with a codebook that starts from k-means
and follows by moving averages. Two things are our own. Errors count by what a patch has of its
own: four in five patches are nearly the mean patch, and unweighted the best answer is that patch
everywhere. And the penalty on the share kept is taken over the batch: per image it would ask for
the same length of all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import MissingExtraError
from ...interfaces.codes import DynamicTokenizer, TokenizerShape
from ..pocket import Report, Stage, optimise

Patches = Callable[[np.ndarray], Float[Tensor, "image patch width"]]
"""The tower's patches of the images with these numbers, without a class token."""

_SELECT = Stage(steps=2000, batch=32, lr=1e-3)
_QUANTISE = Stage(steps=1200, batch=32, lr=1e-3)
_SURVEYED = 500


@dataclass(frozen=True)
class TokenizerRecipe:
    """Sizes and budget.

    Attributes:
        shape: of the tokenizer.
        select: selector, merger and decoder learn without a codebook.
        quantise: merger, decoder and codebook learn behind the frozen selector.
        share: of the patches that are kept, on average (rho).
        strength: of the penalty for another share (lambda).
        least: weight of a patch that is the mean patch; the others count 1 - cosine more.
        decay: of the codebook's moving averages.
        commitment: weight of the distance between vectors and their codes.
    """

    shape: TokenizerShape = field(default_factory=TokenizerShape)
    select: Stage = _SELECT
    quantise: Stage = _QUANTISE
    share: float = 1 / 3
    strength: float = 2.0
    least: float = 0.05
    decay: float = 0.99
    commitment: float = 1.0

    def scaled(self, factor: float) -> TokenizerRecipe:
        """Returns the recipe with both stages `factor` times as long."""
        return replace(
            self, select=self.select.scaled(factor), quantise=self.quantise.scaled(factor)
        )


def train_tokenizer(
    patches: Patches,
    n: int,
    recipe: TokenizerRecipe,
    *,
    name: str,
    seed: int,
    work: Path,
    report: Report,
    keeps: Bool[np.ndarray, "image patch"] | None = None,
) -> DynamicTokenizer:
    """Trains a tokenizer; a later call with the same `name` and `work` resumes.

    Args:
        patches: what the tower saw.
        n: the number of images.
        recipe: sizes and budget.
        name: of the checkpoints.
        seed: of weights and batches.
        work: folder for checkpoints.
        report: called with the progress.
        keeps: the patches to keep, instead of those that a selector would learn.

    Returns:
        The tokenizer in evaluation mode, calibrated.

    Raises:
        MissingExtraError: without the package vector-quantize-pytorch.
    """
    training = _TokenizerTraining(patches, n, recipe, name, seed, work, report, keeps)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer = DynamicTokenizer(recipe.shape)
        tokenizer.standardise(training.survey)
        training.select(tokenizer)
        if keeps is None:
            tokenizer.calibrate(training.survey)
        training.quantise(tokenizer)
    return tokenizer.eval().requires_grad_(False)


@dataclass(frozen=True, eq=False)
class _TokenizerTraining:
    patches: Patches
    n: int
    recipe: TokenizerRecipe
    name: str
    seed: int
    work: Path
    report: Report
    keeps: Bool[np.ndarray, "image patch"] | None

    @property
    def survey(self) -> Float[Tensor, "image patch width"]:
        """The patches of the first images, for what is measured before and after training."""
        return self.patches(np.arange(min(_SURVEYED, self.n)))

    def select(self, tokenizer: DynamicTokenizer) -> None:
        recipe = self.recipe

        def loss(rows: np.ndarray, generator: torch.Generator) -> Tensor:
            seen = self.patches(rows)
            if self.keeps is None:
                keep = tokenizer.selector.sampled(tokenizer.standard(seen), generator)
            else:
                keep = torch.from_numpy(self.keeps[rows]).float()
            rebuilt = tokenizer.decoder(tokenizer.vectors(seen, keep), keep)
            gone = (recipe.share - keep.mean()).square()
            return self._error(tokenizer, seen, rebuilt) + recipe.strength * gone

        self._optimise("select", recipe.select, {"tokenizer": tokenizer}, loss)

    def quantise(self, tokenizer: DynamicTokenizer) -> None:
        quantiser = self._quantiser()
        tokenizer.selector.requires_grad_(False)
        with torch.no_grad():
            survey = self.survey
            first = np.arange(len(survey))
            keep = self._kept(tokenizer, first, survey)
            # Its first call draws the codes by k-means.
            quantiser.train()(tokenizer.vectors(survey, keep.float())[keep][None])

        def loss(rows: np.ndarray, generator: torch.Generator) -> Tensor:
            seen = self.patches(rows)
            keep = self._kept(tokenizer, rows, seen)
            vectors = tokenizer.vectors(seen, keep.float())
            rounded, _, apart = quantiser(vectors[keep][None])
            codes = torch.zeros_like(vectors).masked_scatter(keep[..., None], rounded)
            rebuilt = tokenizer.decoder(codes, keep.float())
            return self._error(tokenizer, seen, rebuilt) + apart.sum()

        modules = {"tokenizer": tokenizer, "quantiser": quantiser}
        self._optimise("quantise", self.recipe.quantise, modules, loss)
        tokenizer.book.copy_(F.normalize(quantiser.codebook, dim=-1))

    def _quantiser(self) -> Any:
        try:
            from vector_quantize_pytorch import VectorQuantize
        except ImportError as error:
            raise MissingExtraError("vector-quantize-pytorch", "codes") from error
        shape = self.recipe.shape
        return VectorQuantize(
            dim=shape.d_code,
            codebook_size=shape.n_codes,
            decay=self.recipe.decay,
            commitment_weight=self.recipe.commitment,
            kmeans_init=True,
            use_cosine_sim=True,
            rotation_trick=False,
            threshold_ema_dead_code=1,
        )

    @torch.no_grad()
    def _kept(
        self, tokenizer: DynamicTokenizer, rows: np.ndarray, seen: Tensor
    ) -> Bool[Tensor, "image patch"]:
        if self.keeps is not None:
            return torch.from_numpy(self.keeps[rows])
        return tokenizer.select(seen, self.recipe.share)

    def _error(self, tokenizer: DynamicTokenizer, seen: Tensor, rebuilt: Tensor) -> Tensor:
        own = 1 - F.cosine_similarity(seen, tokenizer.mean, dim=-1)
        weights = self.recipe.least + own.clamp(min=0)
        apart = 1 - F.cosine_similarity(seen, rebuilt, dim=-1)
        return (weights * apart).sum() / weights.sum()

    def _optimise(
        self,
        stage_name: str,
        stage: Stage,
        modules: dict[str, nn.Module],
        loss: Callable[[np.ndarray, torch.Generator], Tensor],
    ) -> None:
        generator = torch.Generator()

        def loss_at(rng: np.random.Generator) -> Tensor:
            rows = np.sort(rng.choice(self.n, min(stage.batch, self.n), replace=False))
            generator.manual_seed(int(rng.integers(2**62)))
            # The quantiser revives codes from the global generator.
            torch.manual_seed(int(rng.integers(2**62)))
            return loss(rows, generator)

        optimise(
            f"{stage_name}-{self.name}-{self.seed}",
            stage,
            modules,
            loss_at,
            seed=self.seed,
            work=self.work,
            report=self.report,
            batches=stage_name,
        )
