"""Integrated gradients of an output with respect to the visual tokens."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from .. import memory as budgets
from ..arguments import checked, shown, whole
from ..errors import InputError, IntegrationWarning
from ._choose import RunLike, top, visual
from ._gradient import EmbeddingGradient, LogitGradient, RunWithStates
from ._set import Positions, TokenSet


class Filling(Protocol):
    """Values to put at some positions: a fill of `Ablate`."""

    def values(
        self, run: RunLike, positions: tuple[int, ...]
    ) -> Float[Tensor, "token d_model"]: ...


Baseline = Filling | Tensor | str | None

COMPLETE = 0.1
"""The completeness error above which integrated gradients raise a warning."""


@dataclass(frozen=True, eq=False)
class Path:
    """Integrated gradients along a straight line.

    Attributes:
        attributions: (n, d_model) float32; their sum is `change` up to the error below.
        change: value at the run minus value at the baseline.
        completeness: |sum of `attributions` - `change`| / |`change`|: the error of the integration,
            0 if exact. More steps reduce it.
    """

    attributions: Float[Tensor, "token d_model"]
    change: float
    completeness: float


@dataclass(frozen=True, eq=False)
class Attribution:
    """The contribution of each visual token to a logit.

    Attributes:
        scores: (n,) sum over d_model of the absolute attributions, for choosing tokens.
        signed: (n,) sum over d_model of the attributions; their total is the change of the logit.
        target: the id of the explained token.
        change: logit of the run minus logit at the baseline.
        completeness: |sum of `signed` - `change`| / |`change`|: the error of the integration, 0 if
            exact. More steps reduce it.
    """

    scores: Float[Tensor, " token"]
    signed: Float[Tensor, " token"]
    target: int
    change: float
    completeness: float


@dataclass(frozen=True, eq=False, repr=False)
class GradientTokens(TokenSet):
    """A token set chosen by integrated gradients, with its scores."""

    attribution: Attribution = field(kw_only=True)

    @property
    def scores(self) -> Float[Tensor, " token"]:
        """(n,) one score per visual token of the run."""
        return self.attribution.scores

    @property
    def completeness(self) -> float:
        """Relative error of the integration."""
        return self.attribution.completeness

    def __repr__(self) -> str:
        return f"GradientTokens({self._summary()}; completeness error {self.completeness:.2g})"


def along_path(
    gradient: EmbeddingGradient,
    *,
    baseline: Baseline = None,
    steps: int = 50,
    batch_size: int = 8,
    memory: str | int | None = None,
) -> Path:
    """Integrated gradients of the output of `gradient`; arguments as for `integrated_gradients`.

    Raises:
        InputError: too few steps, a batch size below 1, an invalid amount of memory, or a baseline
            of another shape.

    Warns:
        IntegrationWarning: the completeness error exceeds `COMPLETE`.
    """
    _check(steps, batch_size)
    limit = budgets.budget(memory, gradient.embeddings.device)
    end = gradient.embeddings
    start = _start(gradient.run, baseline, gradient.places, end)

    def work(batch: Sequence[int]) -> tuple[Tensor, Tensor]:
        part = torch.tensor(batch, device=end.device) / steps
        slopes = gradient.at(start + part[:, None, None].to(end.dtype) * (end - start))
        weights = torch.where(part == 0, 0.5, 1.0)
        return slopes.values, (slopes.gradients.float() * weights[:, None, None]).sum(0)

    # `gradient` has already computed the step at the run itself.
    parts = budgets.in_batches(range(steps), lambda _: gradient.cost, limit, work, batch_size)
    total = torch.stack([0.5 * gradient.here.gradients[0].float(), *(part for _, part in parts)])
    attributions = total.sum(0) / steps * (end - start).float()
    change = float(gradient.here.values[0] - parts[0][0][0])
    summed = float(attributions.sum())
    error = abs(summed - change)
    path = Path(attributions, change, error / abs(change) if change else error)
    if incomplete(path.completeness):
        warnings.warn(
            f"the attributions add up to {summed:.3g}, but the value they explain changes by "
            f"{change:.3g}, so their ranking of tokens means little: take more steps, or a "
            "baseline other than 'zero'",
            IntegrationWarning,
            # Point to the caller of the public function.
            stacklevel=3,
        )
    return path


@checked
def incomplete(completeness: float) -> bool:
    """Whether a completeness error makes attributions unreliable."""
    return completeness > COMPLETE


def integrated_gradients(
    run: RunWithStates,
    target: str | int,
    *,
    baseline: Baseline = None,
    steps: int = 50,
    batch_size: int = 8,
    memory: str | int | None = None,
) -> Attribution:
    """Integrated gradients of the last position's logit of `target` to the visual embeddings.

    Trapezoid rule over `steps` intervals on the straight line from the baseline. Several steps go
    through the decoder as one batch; see `LogitGradient` for what is computed.

    Args:
        target: a word, of which the first piece is taken, or a token id.
        baseline: the embeddings at the start of the path: a fill, a tensor (d_model,) or
            (n, d_model), "zero", or None for the mean of this run's visual tokens. From "zero" the
            integration is poor in decoders that begin with an RMS norm, which jumps there: check
            `completeness`.
        steps: intervals, at least 2.
        batch_size: the largest number of steps in a batch.
        memory: what a batch may take, such as "4GB"; None for half of the free memory. A batch that
            still runs out of memory is halved.

    Raises:
        InputError: an unknown word, too few steps, a batch size below 1, an invalid amount of
            memory, or a baseline of another shape.
        CapabilityError: see `LogitGradient`.

    Warns:
        IntegrationWarning: `completeness` is above 0.1.

    Source: Sundararajan et al. 2017, as used by Neo et al. 2024, section 3; the released code
    takes the gradient of the beginning-of-text token and counts both end points in full.
    """
    _check(steps, batch_size)
    budgets.budget(memory, run.embeddings.device)
    logit = LogitGradient(run, target)
    path = along_path(logit, baseline=baseline, steps=steps, batch_size=batch_size, memory=memory)
    return Attribution(
        scores=path.attributions.abs().sum(-1),
        signed=path.attributions.sum(-1),
        target=logit.target,
        change=path.change,
        completeness=path.completeness,
    )


def attribution(
    run: RunWithStates, target: str | int, baseline: Baseline = None, steps: int = 50
) -> Float[Tensor, " token"]:
    """(n,) scores of all visual tokens; warns and raises like `integrated_gradients`."""
    return integrated_gradients(run, target, baseline=baseline, steps=steps).scores


def released_scores(
    run: RunWithStates, target: int, baseline: Filling, steps: int = 50, batch_size: int = 8
) -> Float[Tensor, " place"]:
    """The scores by which the released code of Neo et al. 2024 ranks tokens, with its defects.

    The gradient is taken at `steps` points from the baseline to the run, both ends counted in full,
    summed in the model's dtype and divided by `steps`. The baseline covers the visual tokens and
    the position after them, whose score comes last.

    Args:
        target: id of the token whose logit is explained.

    Returns:
        (n + 1,) sum over d_model of the absolute products of mean gradient and difference; (n,)
        if nothing follows the image.

    Raises:
        InputError: fewer than 2 steps, or a run without an image or with several.
        CapabilityError: see `LogitGradient`.

    Source: integrated_gradients in scripts/ablation_experiment.py of clemneo/llava-interp.
    """
    _check(steps, batch_size)
    if len(run.images) != 1:
        raise InputError(f"expected one image, got {len(run.images)}")
    visual_positions = run.images[0].positions
    after = max(visual_positions) + 1
    places = (*visual_positions, after) if after < len(run.embeddings) else visual_positions
    gradient = LogitGradient(run, target, places=places)
    end = gradient.embeddings
    start = baseline.values(run, places).to(end)
    points = torch.linspace(0, 1, steps)

    def work(batch: Sequence[int]) -> Float[Tensor, "step token d_model"]:
        return gradient.at(
            torch.stack([start + points[i] * (end - start) for i in batch])
        ).gradients

    limit = budgets.budget(None, end.device)
    total = torch.zeros_like(end)
    for part in budgets.in_batches(range(steps), lambda _: gradient.cost, limit, work, batch_size):
        for gradients in part:
            total += gradients
    return (total * ((end - start) / steps)).abs().sum(-1)


def by_gradient(
    run: RunWithStates, target: str | int, n: int, steps: int = 50, baseline: Baseline = None
) -> GradientTokens:
    """The `n` visual tokens with the largest attribution; see `integrated_gradients`.

    Raises:
        InputError: also if `n` is not between 1 and the number of visual tokens.

    Warns:
        IntegrationWarning: the completeness error exceeds `COMPLETE`.
    """
    whole(n, "n", 1, len(visual(run)))
    scored = integrated_gradients(run, target, baseline=baseline, steps=steps)
    chosen = top(run, scored.scores, n)
    sequence: Positions = chosen.sequence
    return GradientTokens(sequence, chosen.positions, chosen.universe, attribution=scored)


def _check(steps: int, batch_size: int) -> None:
    whole(steps, "steps", 2)
    whole(batch_size, "batch_size", 1)


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
    if not hasattr(baseline, "values"):
        raise InputError(f"expected a baseline 'zero', a fill or a tensor, got {shown(baseline)}")
    return baseline.values(run, places).to(end)
