"""Integrated gradients from the answer's logit to the visual tokens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import InputError
from ._choose import RunLike, top, visual
from ._set import Positions, TokenSet


class Filling(Protocol):
    """Something that has a value for each position: a fill of `Ablate`."""

    def values(
        self, run: RunLike, positions: tuple[int, ...]
    ) -> Float[Tensor, "token d_model"]: ...


Baseline = Filling | Tensor | str | None


@dataclass(frozen=True, eq=False)
class Attribution:
    """How much each visual token adds to a logit.

    Attributes:
        scores: (n,) sum over d_model of the absolute attributions, by which tokens are chosen.
        signed: (n,) sum over d_model of the attributions; their total is the change of the logit.
        target: the token id whose logit is explained.
        change: logit of the run minus logit at the baseline.
        completeness: |sum of `signed` - `change`| / |`change`|: the error of the integration, 0
            when exact. More steps lower it.
    """

    scores: Float[Tensor, " token"]
    signed: Float[Tensor, " token"]
    target: int
    change: float
    completeness: float


@dataclass(frozen=True, eq=False, repr=False)
class GradientTokens(TokenSet):
    """The token set that integrated gradients chose, with how they chose it."""

    attribution: Attribution = field(kw_only=True)

    @property
    def scores(self) -> Float[Tensor, " token"]:
        """(n,) one score per visual token of the run."""
        return self.attribution.scores

    @property
    def completeness(self) -> float:
        """Relative error of the integration."""
        return self.attribution.completeness


def integrated_gradients(
    run: RunLike,
    target: str | int,
    *,
    baseline: Baseline = None,
    steps: int = 50,
    batch_size: int = 8,
) -> Attribution:
    """Integrated gradients of the last position's logit of `target` to the visual embeddings.

    Trapezoid rule over `steps` intervals on the straight line from the baseline. Several steps go
    through the decoder as one batch; the parameters get no gradients.

    Args:
        target: a word, of which the first piece is taken, or a token id.
        baseline: the embeddings where the path begins: a fill, a tensor (d_model,) or (n, d_model),
            "zero", or None for the mean of this run's visual tokens. From "zero" the integration
            is poor in a decoder whose first step is an RMS norm, which jumps there: look at
            `completeness`.
        steps: intervals, at least 2.

    Raises:
        InputError: an unknown word, too few steps, or a baseline of another shape.

    Source: Sundararajan et al. 2017, as used by Neo et al. 2024, section 3; the released code
    takes the gradient of the beginning-of-text token and divides both end points in full.
    """
    if steps < 2:
        raise InputError(f"expected at least 2 steps, got {steps}")
    adapter = run.adapter
    goal = adapter.vocabulary.first_piece(target) if isinstance(target, str) else int(target)
    if not 0 <= goal < adapter.vocab_size:
        raise InputError(f"expected a token id from 0 to {adapter.vocab_size - 1}, got {goal}")
    places = tuple(position for image in run.images for position in image.positions)
    visual(run)
    index = torch.tensor(places, device=run.embeddings.device)
    end = run.embeddings[index]
    start = _start(run, baseline, places, end)
    alphas = torch.linspace(0, 1, steps + 1, dtype=torch.float32, device=end.device)
    weights = torch.full_like(alphas, 1 / steps)
    weights[0] = weights[-1] = 0.5 / steps
    total = torch.zeros(end.shape, dtype=torch.float32, device=end.device)
    values: list[Tensor] = []
    with frozen(adapter.model), torch.enable_grad():
        for part, weight in zip(alphas.split(batch_size), weights.split(batch_size), strict=True):
            mixed = start + part[:, None, None].to(end.dtype) * (end - start)
            mixed = mixed.detach().requires_grad_(True)
            embeds = run.embeddings.expand(len(part), -1, -1).index_copy(1, index, mixed)
            last = adapter.decode(embeds, **adapter.arguments(run.inputs, 0, run.n))[:, -1]
            logits = adapter.unembed(last)[:, goal]
            (slopes,) = torch.autograd.grad(logits.sum(), mixed)
            total += (slopes.float() * weight[:, None, None]).sum(0)
            values.append(logits.detach())
    attributions = total * (end - start).float()
    logits = torch.cat(values)
    change = float(logits[-1] - logits[0])
    signed = attributions.sum(-1)
    error = abs(float(signed.sum()) - change)
    return Attribution(
        scores=attributions.abs().sum(-1),
        signed=signed,
        target=goal,
        change=change,
        completeness=error / abs(change) if change else error,
    )


def attribution(
    run: RunLike, target: str | int, baseline: Baseline = None, steps: int = 50
) -> Float[Tensor, " token"]:
    """(n,) scores of all visual tokens; see `integrated_gradients`."""
    return integrated_gradients(run, target, baseline=baseline, steps=steps).scores


def by_gradient(
    run: RunLike, target: str | int, n: int, steps: int = 50, baseline: Baseline = None
) -> GradientTokens:
    """The `n` visual tokens with the largest attribution; see `integrated_gradients`.

    Raises:
        InputError: also if `n` is not from 1 to the number of visual tokens.
    """
    count = len(visual(run))
    if not 1 <= n <= count:
        raise InputError(f"expected n from 1 to {count}, got {n}")
    found = integrated_gradients(run, target, baseline=baseline, steps=steps)
    chosen = top(run, found.scores, n)
    sequence: Positions = chosen.sequence
    return GradientTokens(sequence, chosen.positions, chosen.universe, attribution=found)


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """No parameter of `model` asks for a gradient inside; what asked before asks again after."""
    asking = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in asking:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in asking:
            parameter.requires_grad_(True)


def _start(
    run: RunLike, baseline: Baseline, places: tuple[int, ...], end: Float[Tensor, "token d_model"]
) -> Float[Tensor, "token d_model"]:
    if baseline is None:
        return end.mean(0, keepdim=True).expand_as(end)
    if isinstance(baseline, str):
        if baseline != "zero":
            raise InputError(f"expected a baseline 'zero', a fill or a tensor, got {baseline!r}")
        return torch.zeros_like(end)
    if isinstance(baseline, Tensor):
        value = baseline.to(end)
        if value.shape not in (end.shape, end.shape[1:]):
            raise InputError(
                f"expected a baseline {tuple(end.shape[1:])} or {tuple(end.shape)}, got "
                f"{tuple(value.shape)}"
            )
        return value.expand_as(end)
    return baseline.values(run, places).to(end)
