"""The tuned lens: one affine map per layer, trained so that its words are the model's own.

    fit = TunedFit(vlm.adapter)
    for run in runs:
        fit.add(run)
    run.lens(kind=fit.train())

Source: Belrose et al. 2023, "Eliciting latent predictions from transformers with the tuned lens"
(arXiv 2303.08112).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from .. import arguments
from ..arguments import one_of, whole
from ..arguments import path as as_path
from ..errors import CapabilityError, InputError
from ..memory import budget
from ..models import Adapter, ModelState, entering
from ..tokens import RunWithStates, frozen
from ._card import At, Card
from ._linear import LinearLens
from ._published import write_tuned
from ._tuned_training import Schedule, TunedTraining

STEPS, BATCH, RATE = 250, 256, 1e-3
"""Steps of AdamW, positions per step, and the first step's learning rate, which falls to 0."""

_HELD_OUT = 5
"""One run in so many measures the result and takes no part in the training."""

Report = Callable[[int, int, float], None]
"""Called with the steps done, all steps, and the mean loss of the layers."""

Checkpoint = Callable[[int, Callable[[], dict[str, Tensor]]], None]
"""Called after each step with the steps done, and a function that returns what to keep of them."""


class Tuned(LinearLens):
    """`softmax(W_U norm(h + A_l h + b_l))`, with A_l and b_l of each layer fitted by `TunedFit`.

    `matrices` are 1 + A_l.
    """

    name = "tuned"
    _others = ", or a folder for tuned-lens"

    def save(self, path: str | os.PathLike[str]) -> Path:
        """As `LinearLens.save`; a name without an ending is a folder for tuned-lens."""
        file = as_path(path)
        if file.suffix:
            return super().save(file)
        write_tuned(file, self.matrices, self.card, self.biases)
        return file

    @classmethod
    def merge(cls, lenses: Sequence[LinearLens]) -> Tuned:
        """Raises `CapabilityError`: what was trained on parts is not what the whole gives."""
        raise CapabilityError(
            "tuned lenses are trained step by step, so that parts of the data do not add up to the "
            "lens of the whole: fit one lens to all of it"
        )


class TunedFit:
    """Collects states of runs, then trains a map per layer.

    The loss at a position is KL(p || q) in nats, from the model's own final distribution p there,
    also where the token is visual and no training made sense of it, to the lens's, q. A_l and b_l
    begin at 0, which is the logit lens, and weight decay pulls them back there. One run in five is
    held out: the card has the loss of each layer on them, before and after.

    Attributes:
        n_prompts: number of runs so far.
    """

    def __init__(
        self,
        adapter: Adapter,
        *,
        at: At | Literal["all"] = "all",
        seed: int = 0,
        steps: int = STEPS,
        batch: int = BATCH,
        rate: float = RATE,
        memory: str | int | None = None,
    ) -> None:
        """Computes nothing yet.

        Args:
            adapter: of the model.
            at: the positions that are collected.
            seed: of the order of positions.
            steps: number of steps.
            batch: positions per step.
            rate: the first step's learning rate.
            memory: what the states may take, such as "4GB"; half of what is free if None.

        Raises:
            InputError: an impossible argument, or a model in training mode.
        """
        self.adapter = adapter
        self.at = one_of(at, ("all", "text", "visual"), "at")
        self.schedule = Schedule(
            arguments.seed(seed),
            whole(steps, "steps", 1),
            whole(batch, "batch", 1),
            arguments.number(rate, "rate", 0),
        )
        self._limit = budget(memory, torch.device("cpu"))
        self._state: ModelState = adapter.state()
        self._rows: list[Float[Tensor, "layer token d_model"]] = []
        self._taken = 0

    @property
    def n_prompts(self) -> int:
        return len(self._rows)

    def sources(self, run: RunWithStates) -> tuple[int, ...]:
        """The positions that are collected of a run."""
        visual = {place for image in run.images for place in image.positions}
        everywhere = range(len(run.embeddings))
        if self.at == "all":
            return tuple(everywhere)
        return tuple(p for p in everywhere if (p in visual) == (self.at == "visual"))

    @torch.no_grad()
    def add(self, run: RunWithStates) -> None:
        """Keeps a run's states in main memory, in their own precision.

        Raises:
            InputError: a run without such positions, of another model or another state of this one,
                or more states than the memory holds.
        """
        run.require_current()
        run.adapter.require(self._state, "fit")
        places = list(self.sources(run))
        if not places:
            raise InputError(f"expected a run with {self.at} tokens, got one without any")
        layers = range(self.adapter.n_layers + 1)
        rows = torch.stack([run.hidden(layer)[places].cpu() for layer in layers])
        self._taken += rows.numel() * rows.element_size()
        if self._taken > self._limit:
            raise InputError(
                f"expected states of up to {self._limit / 1e9:.2g} GB, got more after "
                f"{self.n_prompts} prompts: give fewer prompts, or more memory"
            )
        self._rows.append(rows)

    def train(
        self,
        *,
        begin: tuple[int, Mapping[str, Tensor]] | None = None,
        checkpoint: Checkpoint | None = None,
        progress: Report | None = None,
        **more: Any,
    ) -> Tuned:
        """Trains all layers' maps; the same runs, seed and machine give the same lens.

        Args:
            begin: the steps done and what a checkpoint kept of them.
            checkpoint: see `Checkpoint`.
            progress: see `Report`.
            more: further entries of the card: `model`, `corpus`, `corpus_hash`, `settings`.

        Raises:
            InputError: fewer than two runs, of which one is held out.
            NonFiniteError: a loss that is NaN or infinite.
        """
        if self.n_prompts < 2:
            raise InputError(
                f"expected at least 2 runs, one to fit and one held out, got {self.n_prompts}"
            )
        self.adapter.require(self._state, "fit")
        fitted, held_out = self._split()
        with entering(self.adapter.model), frozen(self.adapter.model):
            trainer = TunedTraining(self.adapter, self.schedule, fitted)
            before = trainer.losses(held_out, 0)
            first = 0 if begin is None else trainer.restore(*begin)
            for step in range(first, self.schedule.steps):
                loss = trainer.step(step)
                if progress is not None:
                    progress(step + 1, self.schedule.steps, loss)
                if checkpoint is not None:
                    checkpoint(step + 1, trainer.kept)
            after = trainer.losses(held_out)
        return self._lens(trainer, before, after, more)

    def _split(self) -> tuple[Tensor, Tensor]:
        """The states to train on, and those of the runs that are held out."""
        # The second of two runs is held out, then one in so many.
        numbers = range(self.n_prompts)
        out = [n for n in numbers if n % _HELD_OUT == 1]
        kept = [n for n in numbers if n % _HELD_OUT != 1]
        fitted, held_out = (torch.cat([self._rows[n] for n in some], 1) for some in (kept, out))
        return fitted, held_out

    def _lens(
        self, trainer: TunedTraining, before: list[float], after: list[float], more: dict[str, Any]
    ) -> Tuned:
        settings = {
            **asdict(self.schedule),
            "held_out_kl_before": [round(value, 6) for value in before],
            "held_out_kl_after": [round(value, 6) for value in after],
            **more.pop("settings", {}),
        }
        at = None if self.at == "all" else self.at
        facts = {"n_prompts": self.n_prompts, "at": at, "settings": settings, **more}
        card = Card.of(self.adapter, "tuned", tuple(range(self.adapter.n_layers)), **facts)
        eye = torch.eye(self.adapter.d_model)
        return Tuned(
            {layer: eye + matrix.detach().cpu() for layer, matrix in enumerate(trainer.matrices)},
            card,
            {layer: bias.detach().cpu() for layer, bias in enumerate(trainer.biases)},
        )
