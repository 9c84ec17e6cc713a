"""The training of a tuned lens: the maps of all layers at once, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..models import Adapter, finite, not_finite
from ._head import VocabularyHead


@dataclass(frozen=True)
class Schedule:
    """What a step does.

    Attributes:
        seed: of the positions that each step draws.
        steps: number of steps.
        batch: positions per step.
        rate: the first step's learning rate, which falls to 0.
    """

    seed: int
    steps: int
    batch: int
    rate: float


class TunedTraining:
    """The maps of all layers, and the optimiser's state.

    Attributes:
        matrices: A_l of each layer, (d_model, d_model) float32.
        biases: b_l of each layer, (d_model,) float32.
    """

    def __init__(
        self, adapter: Adapter, schedule: Schedule, states: Float[Tensor, "layer token d_model"]
    ) -> None:
        width = adapter.d_model
        self._adapter, self._schedule, self._states = adapter, schedule, states
        self._head = VocabularyHead(adapter)
        device = adapter.unembedding.weight.device
        self._device = device
        layers = range(adapter.n_layers)
        self.matrices = [torch.zeros(width, width, device=device) for _ in layers]
        self.biases = [torch.zeros(width, device=device) for _ in layers]
        self._parameters = [*self.matrices, *self.biases]
        for parameter in self._parameters:
            parameter.requires_grad_(True)
        self._optimiser = torch.optim.AdamW(self._parameters, lr=schedule.rate, weight_decay=1e-3)

    def step(self, number: int) -> float:
        """Takes one step with all layers; returns their mean loss before it."""
        for group in self._optimiser.param_groups:
            group["lr"] = self._schedule.rate * (1 - number / self._schedule.steps)
        # A step's positions depend on its number alone, so that a fit can be continued.
        draw = np.random.default_rng([self._schedule.seed, number])
        some = torch.from_numpy(draw.integers(0, self._states.shape[1], self._schedule.batch))
        wanted, total = self._wanted(self._states[-1, some]), 0.0
        self._optimiser.zero_grad()
        with torch.enable_grad():
            for layer in range(len(self.matrices)):
                loss = self._loss(layer, self._states[layer, some], wanted).mean()
                loss.backward()
                total += float(loss.detach())
        if not finite(torch.tensor(total)):
            raise not_finite(self._adapter.model, "the loss of a tuned lens")
        self._optimiser.step()
        return total / len(self.matrices)

    @torch.no_grad()
    def losses(self, states: Float[Tensor, "layer token d_model"], scale: float = 1) -> list[float]:
        """The mean loss of each layer, with its map scaled (0 is the logit lens)."""
        sums = [0.0] * len(self.matrices)
        for part in states.split(self._schedule.batch, 1):
            wanted = self._wanted(part[-1])
            for layer in range(len(sums)):
                sums[layer] += float(self._loss(layer, part[layer], wanted, scale).sum())
        return [total / states.shape[1] for total in sums]

    @torch.no_grad()
    def _wanted(self, states: Float[Tensor, "token d_model"]) -> Float[Tensor, "token vocab"]:
        return self._log_probs(states.to(self._device))

    def _loss(
        self,
        layer: int,
        states: Float[Tensor, "token d_model"],
        wanted: Float[Tensor, "token vocab"],
        scale: float = 1,
    ) -> Float[Tensor, " token"]:
        given = states.to(self._device)
        change = F.linear(given.float(), self.matrices[layer], self.biases[layer])
        found = self._log_probs((given.float() + scale * change).to(given.dtype))
        return F.kl_div(found, wanted, reduction="none", log_target=True).sum(-1)

    def _log_probs(self, states: Tensor) -> Float[Tensor, "token vocab"]:
        return self._adapter.unembed(self._head.normed(states)).log_softmax(-1)

    def kept(self) -> dict[str, Tensor]:
        """What `restore` needs: the maps and both moments of the optimiser."""
        kept: dict[str, Tensor] = {}
        for number, parameter in enumerate(self._parameters):
            kept[f"{number}.value"] = parameter.detach().cpu().clone()
            for name in ("exp_avg", "exp_avg_sq"):
                kept[f"{number}.{name}"] = self._optimiser.state[parameter][name].cpu().clone()
        return kept

    def restore(self, step: int, kept: Mapping[str, Tensor]) -> int:
        """Goes on after `step` steps; returns their number."""
        for number, parameter in enumerate(self._parameters):
            with torch.no_grad():
                parameter.copy_(kept[f"{number}.value"])
            self._optimiser.state[parameter] = {
                "step": torch.tensor(float(step)),
                **{
                    name: kept[f"{number}.{name}"].to(parameter.device).clone()
                    for name in ("exp_avg", "exp_avg_sq")
                },
            }
        return step
