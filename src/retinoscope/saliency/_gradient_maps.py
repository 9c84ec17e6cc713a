"""Maps from gradients: at the decoder's input, along a path, under noise, at a layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from .. import arguments
from .. import memory as budgets
from ..engine import Run
from ..errors import InputError
from ..tokens import Baseline, along_path
from ._common import layers_in, map_of, places_of, slice_of
from ._heat_map import HeatMap
from ._target import AnyTarget, resolve

_BATCH = 8


def gradient_input(run: Run, target: AnyTarget, *, image: int = 0) -> HeatMap:
    """Gradient times input, at the visual embeddings that the decoder receives.

    Args:
        run: the run.
        target: what to explain.
        image: index of the image in the prompt.

    Returns:
        (n,) in the score's units: sum over d_model of embedding times gradient; positive where the
        token raises the score compared with zeros, to first order.

    Raises:
        InputError: as `resolve`, or there is no such image.
        CapabilityError: the model does not allow gradients.

    Source: Shrikumar et al. 2016 (arXiv 1605.01713).
    """
    goal = resolve(run, target)
    chosen = slice_of(goal, image)
    gradient = goal.gradient
    values = (gradient.embeddings.float() * gradient.here.gradients[0].float()).sum(-1)
    return map_of(goal, image, values[chosen], "gradient-input")


def integrated_gradients(
    run: Run,
    target: AnyTarget,
    *,
    baseline: Baseline = None,
    steps: int = 50,
    batch_size: int = _BATCH,
    memory: str | int | None = None,
    image: int = 0,
) -> HeatMap:
    """Integrated gradients at the visual embeddings, from a baseline to the run's own.

    Args:
        run: the run.
        target: what to explain.
        baseline: start of the path, for the tokens of all images: a fill; a tensor (d_model,) or
            (n, d_model); "zero"; or None for the mean of this run's visual tokens.
        steps: number of intervals, at least 2.
        batch_size, memory: as in `retinoscope.tokens.integrated_gradients`.
        image: index of the image in the prompt.

    Returns:
        (n,) in the score's units: sum over d_model. Over all images they add up to `change`, the
        score minus that at the baseline, within the relative error `completeness`; both are in
        `settings`. More steps lower the error.

    Raises:
        InputError: as `resolve`, too few steps, there is no such image, or an unknown baseline.
        CapabilityError: the model does not allow gradients.

    Warns:
        IntegrationWarning: `completeness` is above 0.1.

    Source: Sundararajan et al. 2017 (arXiv 1703.01365).
    """
    goal = resolve(run, target)
    chosen = slice_of(goal, image)
    result = along_path(
        goal.gradient, baseline=baseline, steps=steps, batch_size=batch_size, memory=memory
    )
    return map_of(
        goal,
        image,
        result.attributions.sum(-1)[chosen],
        "integrated-gradients",
        steps=steps,
        change=result.change,
        completeness=result.completeness,
    )


def smooth_grad(
    run: Run,
    target: AnyTarget,
    *,
    samples: int = 16,
    level: float = 0.15,
    seed: int = 0,
    batch_size: int = _BATCH,
    memory: str | int | None = None,
    image: int = 0,
) -> HeatMap:
    """SmoothGrad: the mean gradient over noisy copies of the visual embeddings.

    Args:
        run: the run.
        target: what to explain.
        samples: number of noisy copies.
        level: standard deviation of the noise, as a share of the embeddings' range (largest minus
            smallest number).
        seed: seed of the noise.
        batch_size, memory: as in `integrated_gradients`.
        image: index of the image in the prompt.

    Returns:
        (n,) non-negative: sum over d_model of the absolute mean gradient. It shows how sensitive
        the score is to a token, not whether the token speaks for the target.

    Raises:
        InputError: as `resolve`, no copies, no noise, or there is no such image.
        CapabilityError: the model does not allow gradients.

    Source: Smilkov et al. 2017 (arXiv 1706.03825), section 3.
    """
    arguments.whole(samples, "noisy copies", 1)
    arguments.whole(batch_size, "batch_size", 1)
    arguments.seed(seed)
    if not level > 0:
        raise InputError(f"expected noise above 0, got {level}")
    goal = resolve(run, target)
    chosen = slice_of(goal, image)
    gradient = goal.gradient
    here = gradient.embeddings
    size = level * float(here.max() - here.min())

    def work(batch: Sequence[int]) -> Float[Tensor, "token d_model"]:
        noise = torch.stack([_noise(here.shape, seed, number) for number in batch]) * size
        return gradient.at(here + noise.to(here)).gradients.float().sum(0)

    limit = budgets.budget(memory, here.device)
    parts = budgets.in_batches(range(samples), lambda _: gradient.cost, limit, work, batch_size)
    mean = torch.stack(parts).sum(0) / samples
    settings = {"samples": samples, "level": level, "seed": seed}
    return map_of(goal, image, mean.abs().sum(-1)[chosen], "smooth-grad", **settings)


def _noise(shape: Sequence[int], seed: int, number: int) -> Float[Tensor, "token d_model"]:
    """Returns the noise of one copy, which does not depend on its batch."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
    return torch.randn(tuple(shape), generator=generator)


def grad_cam(run: Run, target: AnyTarget, *, layer: int, image: int = 0) -> HeatMap:
    """Grad-CAM on the visual tokens' states at one layer of the decoder.

    ReLU(sum over d_model of mean gradient x state), the mean over the image's tokens.

    Args:
        run: the run.
        target: what to explain.
        layer: as in `run.hidden`: 0 is the decoder's input. The last layer is excluded: nothing
            after it reads the visual tokens.
        image: index of the image in the prompt.

    Returns:
        (n,) non-negative; all 0 if nothing speaks for the target, whose location is then undefined.

    Raises:
        InputError: as `resolve`, or there is no such layer or image.
        CapabilityError: the model does not allow gradients.

    Source: Selvaraju et al. 2017 (arXiv 1610.02391), section 3, with tokens as locations.
    """
    goal = resolve(run, target)
    places = list(places_of(goal, image))
    if layer is None:
        raise InputError(
            f"expected a layer from 0 to {run.vlm.n_layers - 1} for Grad-CAM, got none: each layer "
            "has its own map"
        )
    layers_in(layer, run.vlm.n_layers, "layers")
    states, gradients = (
        part[layer][places].float() for part in (goal.states.states, goal.states.gradients)
    )
    values = (states @ gradients.mean(0)).clamp(min=0)
    return map_of(goal, image, values, "grad-cam", layer=layer)
