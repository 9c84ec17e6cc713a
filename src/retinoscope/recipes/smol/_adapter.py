"""Optimisation of the adapter, and of low-rank updates with it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerBase

from ...pocket.smol.adapter import AdapterWeights
from ...pocket.smol.model import initialise
from ...store import write_bytes
from ..pocket._config import Stage
from ..pocket._language import answer_loss
from ..pocket._loop import Report, optimise
from ._config import Losses, Parts, SmolRecipe
from ._data import TrainingData
from ._rows import PromptFrame


class AdapterTraining:
    """Trains the projector of an assembled model on its data.

    Args:
        initial: the adapter to start from; None for random weights.
    """

    def __init__(
        self,
        model: LlavaForConditionalGeneration,
        recipe: SmolRecipe,
        tokenizer: PreTrainedTokenizerBase,
        train: TrainingData,
        watch: TrainingData,
        initial: AdapterWeights | None,
        work: Path,
        report: Report,
    ) -> None:
        self._model, self._recipe, self._initial = model, recipe, initial
        self._train, self._watch, self._work, self._report = train, watch, work, report
        self.projector: nn.Module = model.model.multi_modal_projector
        self.reset()
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        self.projector.requires_grad_(True)
        self._frame = PromptFrame.of(tokenizer, recipe.eyes.locations)
        # The decoder is frozen, so cast it once, not at every step; many CPUs are slow in bfloat16.
        self._mixed = model.device.type != "cpu"
        self._half = torch.bfloat16 if self._mixed else torch.float32
        model.model.language_model.to(self._half)
        model.lm_head.to(self._half)

    def reset(self) -> None:
        """Resets the projector to its first weights."""
        if self._initial is None:
            initialise(self.projector, self._recipe.seed)
        else:
            self._initial.put_into(self._model)

    def loss_at(self, rng: np.random.Generator, size: int) -> Tensor:
        """Returns the loss of a random batch of the training data."""
        chosen = rng.choice(len(self._train.rows.ids), size, replace=False)
        rows = torch.from_numpy(np.sort(chosen)).to(self._model.device)
        return self._loss_of(self._train, rows)

    @torch.no_grad()
    def held_out_losses(self) -> Losses:
        """Returns the mean loss of held-out answers, with their own and with another image."""
        every = torch.arange(len(self._watch.rows.ids), device=self._model.device)
        blocks = every.split(32)
        own, other = (
            float(torch.stack([self._loss_of(self._watch, rows, shift) for rows in blocks]).mean())
            for shift in (0, 1)
        )
        return Losses(own, other)

    def run(
        self, name: str, stage: Stage, modules: dict[str, nn.Module], seconds: float | None
    ) -> None:
        """Runs one stage of the optimisation; see `optimise`."""
        optimise(
            name,
            stage,
            modules,
            lambda rng: self.loss_at(rng, stage.batch),
            seed=self._recipe.seed,
            work=self._work,
            report=self._report,
            seconds=seconds,
        )

    def best_rate(self) -> Stage:
        """Returns the adapter's stage with the learning rate that does best in a short trial."""
        recipe = self._recipe
        if len(recipe.rates) == 1:
            return replace(recipe.adapter, lr=recipe.rates[0])
        file = self._work / "rates.json"
        if not file.exists():
            losses: dict[str, float] = {}
            for rate in recipe.rates:
                self.reset()
                trial = replace(recipe.adapter.lasting(recipe.trial_steps), lr=rate)
                self.run(f"trial-{rate:g}", trial, {"projector": self.projector}, None)
                losses[f"{rate:g}"] = self.held_out_losses().own
            write_bytes(file, json.dumps(losses, indent=2).encode())
            self.reset()
        tried = json.loads(file.read_text(encoding="utf-8"))
        return replace(recipe.adapter, lr=float(min(tried, key=tried.__getitem__)))

    def weights(self, parts: Parts, low_rank: dict[str, Tensor]) -> AdapterWeights:
        """Returns the adapter's current weights."""
        tower: Any = self._model.model.vision_tower
        recipe = self._recipe
        return AdapterWeights(
            projector=self.projector.state_dict(),
            mean=tower.mean,
            std=tower.std,
            vision=recipe.eyes.options,
            parts=parts.hashes(),
            low_rank=low_rank,
            scale=recipe.alpha / recipe.rank if low_rank else 0.0,
        )

    def _loss_of(self, data: TrainingData, rows: Tensor, shift: int = 0) -> Tensor:
        model, frame = self._model, self._frame
        batch = data.rows.batch(rows)
        scenes = rows // data.rows.packings
        visual = self.projector(data.visual((scenes + shift) % len(data.features)))
        embedded = model.get_input_embeddings()(batch.ids).float()
        embedded[:, len(frame.prefix) : frame.length] = visual
        return answer_loss(model, embedded.to(self._half), batch, mixed=self._mixed).answers
