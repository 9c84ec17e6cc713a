"""Gradient maps against plain autograd and captum, and completeness."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from PIL import Image
from plain import plain_score
from torch import Tensor

import retinoscope as rs
from retinoscope.saliency import (
    METHODS,
    Goal,
    Target,
    ablation_effect,
    ablation_estimate,
    grad_cam,
    gradient_input,
    integrated_gradients,
    lens_probability,
    resolve,
    smooth_grad,
)

WORD = "red car"


@pytest.fixture(scope="module")
def goal(build: Any, noise_image: Callable[..., Image.Image]) -> Goal:
    """In double precision: what differs is no rounding."""
    vlm = rs.load(model=build.model().double(), processor=build.processor())
    run = vlm.run(vlm.prompt(noise_image(50, 70), "Is there a cat in this image?"))
    return resolve(run, Target.word(WORD))


def by_embeddings(goal: Goal) -> Callable[[Tensor], Tensor]:
    """(batch, 49, d_model) visual embeddings to (batch,) scores, by the model's own pass."""

    def forward(visual: Tensor) -> Tensor:
        scores = []
        for one in visual:
            embeds = goal.run.embeddings.index_copy(
                0, torch.tensor(goal.run.image.positions), one.to(goal.run.embeddings)
            )
            scores.append(plain_score(goal.run.vlm, embeds, list(goal.ids), goal.score))
        return torch.stack(scores)

    return forward


def test_gradient_times_input_is_captums(goal: Goal) -> None:
    captum = pytest.importorskip("captum.attr")
    visual = goal.run.image.embeddings[None].clone().requires_grad_(True)
    wanted = captum.InputXGradient(by_embeddings(goal)).attribute(visual).sum(-1)[0]
    found = gradient_input(goal.origin, goal).values
    assert found == pytest.approx(wanted.detach().numpy(), rel=1e-4, abs=1e-6)
    assert abs(found).max() > 1e-3


def test_integrated_gradients_are_captums(goal: Goal) -> None:
    captum = pytest.importorskip("captum.attr")
    visual = goal.run.image.embeddings[None]
    start = visual.mean(1, keepdim=True).expand_as(visual)
    wanted = (
        captum.IntegratedGradients(by_embeddings(goal))
        .attribute(visual, start, n_steps=40, internal_batch_size=10)
        .sum(-1)[0]
    )
    found = integrated_gradients(goal.origin, goal, steps=200)
    scale = float(wanted.abs().max())
    assert found.values == pytest.approx(wanted.numpy(), abs=5e-3 * scale)


def test_integrated_gradients_are_complete(goal: Goal) -> None:
    """Their sum is the score minus that at the baseline, and more steps bring it closer."""
    errors = []
    for steps in (8, 32, 128):
        found = integrated_gradients(goal.origin, goal, baseline=rs.fill.noise(1), steps=steps)
        change, told = (float(found.settings[name]) for name in ("change", "completeness"))
        errors.append(abs(found.values.sum() - change) / abs(change))
        assert told == pytest.approx(errors[-1], rel=1e-3, abs=1e-6)
    blank = rs.fill.noise(1).values(goal.run, goal.run.image.positions)
    with torch.no_grad():
        there = float(by_embeddings(goal)(blank[None].double())[0])
    assert change == pytest.approx(goal.value - there, abs=1e-4)
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.01


def test_grad_cam_by_its_definition(goal: Goal) -> None:
    run, vlm = goal.run, goal.run.vlm
    places = list(run.image.positions)
    model: Any = vlm.model
    for layer in range(4):
        kept: list[Tensor] = []
        hook = model.model.language_model.layers[layer].register_forward_pre_hook(
            lambda _, args, kept=kept: kept.append(args[0])
        )
        embeds = run.embeddings.clone().requires_grad_(True)
        score = plain_score(vlm, embeds, list(goal.ids), goal.score)
        hook.remove()
        (gradient,) = torch.autograd.grad(score, kept[0])
        weights = gradient[0, places].mean(0)
        wanted = torch.relu(kept[0][0, places] @ weights).detach()
        found = grad_cam(goal.origin, goal, layer=layer).values
        assert found == pytest.approx(wanted.numpy(), rel=1e-4, abs=1e-6)


def test_smooth_grad_is_the_mean_gradient_under_its_noise(goal: Goal) -> None:
    run = goal.origin
    calm = smooth_grad(run, goal, samples=2, level=1e-7)
    plain = goal.gradient.here.gradients[0].abs().sum(-1)
    assert calm.values == pytest.approx(plain.numpy(), rel=1e-3)
    found = smooth_grad(run, goal, samples=6, seed=3)
    assert (found.values >= 0).all()
    again = smooth_grad(run, goal, samples=6, seed=3, batch_size=4)
    assert again.values == pytest.approx(found.values, rel=1e-6)
    other = smooth_grad(run, goal, samples=6, seed=4)
    assert abs(other.values - found.values).max() > 1e-3 * found.values.max()


def test_attribution_patching_is_the_first_order_of_ablation(goal: Goal) -> None:
    """Along a short way to the fill both are the same."""
    here = goal.run.image.embeddings

    class Near(rs.fill.Fill):
        def values(self, run: Any, positions: tuple[int, ...]) -> Tensor:
            index = [run.image.positions.index(place) for place in positions]
            return here[index] * (1 - 1e-4)

    estimate = ablation_estimate(goal.origin, goal, fill=Near()).values
    exact = ablation_effect(goal.origin, goal, fill=Near()).values
    assert estimate == pytest.approx(exact, rel=0.02, abs=2e-6)
    zero = ablation_estimate(goal.origin, goal, fill=rs.fill.zero()).values
    assert zero == pytest.approx(gradient_input(goal.origin, goal).values, rel=1e-5)


def test_lens_probability_is_the_lenss(goal: Goal) -> None:
    run = goal.origin
    lens = run.lens(positions=run.image.positions)
    for layer in (0, 2, 4):
        wanted = lens.prob(list(goal.ids))[:, layer].mean(0)
        found = lens_probability(run, goal, layer=layer).values
        assert found == pytest.approx(wanted.numpy(), abs=1e-7)
    probs = lens.prob("yes") - lens.prob("no")
    found = lens_probability(run, Target.difference("yes", "no")).values
    assert found == pytest.approx(probs.amax(0).numpy(), abs=1e-6)


def test_refusals(goal: Goal) -> None:
    run = goal.origin
    for make, message in (
        (lambda: integrated_gradients(run, goal, steps=1), "steps from 2 up, got 1"),
        (lambda: smooth_grad(run, goal, samples=0), "noisy copies from 1 up"),
        (lambda: smooth_grad(run, goal, level=0), "noise above 0"),
        (lambda: grad_cam(run, goal, layer=4), "layers from 0 to 3, got 4"),
        (lambda: METHODS["grad-cam"](run, goal), "a layer from 0 to 3 for Grad-CAM, got none"),
        (lambda: lens_probability(run, goal, layer=5), "layers from 0 to 4, got 5"),
        (lambda: ablation_estimate(run, goal, fill="zero"), "expected a fill"),  # type: ignore[arg-type]
    ):
        with pytest.raises(rs.InputError, match=message):
            make()
