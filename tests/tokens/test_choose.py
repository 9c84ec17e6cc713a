"""Token sets by norm, at random, and by gradient."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from PIL import Image

import retinoscope as rs
from retinoscope.engine import Run

# A few steps are enough to compare two ways; they do not add up.
pytestmark = pytest.mark.filterwarnings("ignore::retinoscope.errors.IntegrationWarning")


@pytest.fixture(scope="module")
def run(tiny: rs.VLM, noise_image: Callable[..., Image.Image]) -> Run:
    return tiny.run(tiny.prompt(noise_image(50, 70), "Is there a cat in this image?"))


def test_registers_are_the_large_norms(run: Run) -> None:
    norms = run.image.embeddings.norm(dim=-1)
    for sigmas in (0.5, 1.0, 2.0):
        found = rs.tokens.registers(run, sigmas)
        border = norms.mean() + sigmas * norms.std(unbiased=True)
        assert found == run.image.at((norms > border).nonzero()[:, 0].tolist())
    assert len(rs.tokens.registers(run, 100)) == 0


def test_random_tokens(run: Run) -> None:
    drawn = rs.tokens.random(run, 10, seed=1)
    assert drawn == rs.tokens.random(run, 10, seed=1) != rs.tokens.random(run, 10, seed=2)
    assert len(drawn) == 10
    assert drawn <= run.image.tokens
    rest = rs.tokens.random(run, 39, seed=0, exclude=drawn)
    assert rest == ~drawn
    with pytest.raises(rs.InputError, match="from 1 to 39"):
        rs.tokens.random(run, 40, seed=0, exclude=drawn)
    with pytest.raises(rs.InputError, match="from 1 to 49"):
        rs.tokens.random(run, 0, seed=0)


def test_gradients_are_complete(run: Run) -> None:
    """The attributions add up to the change of the target's logit."""
    for baseline in (None, rs.fill.noise(0), run.image.embeddings[0]):
        found = rs.tokens.integrated_gradients(run, "cat", baseline=baseline, steps=200)
        assert float(found.signed.sum()) == pytest.approx(found.change, rel=0.01)
        assert found.completeness < 0.01
    coarse = rs.tokens.integrated_gradients(run, "cat", steps=3)
    fine = rs.tokens.integrated_gradients(run, "cat", steps=300)
    assert fine.completeness < coarse.completeness


def test_the_target_is_the_word(run: Run) -> None:
    goal = run.vlm.tokenizer.convert_tokens_to_ids("▁cat")
    found = rs.tokens.integrated_gradients(run, " cat", baseline="zero", steps=20)
    assert found.target == goal
    embeds = run.embeddings.clone()
    embeds[list(run.image.positions)] = 0
    with torch.no_grad():
        at_zero = run.vlm.model(inputs_embeds=embeds[None]).logits[0, -1, goal]
    assert found.change == pytest.approx(float(run.logits[goal] - at_zero), abs=1e-4)
    assert rs.tokens.integrated_gradients(run, goal, steps=2).target == goal


def test_one_step_by_hand(run: Run) -> None:
    """Two intervals of the trapezoid rule against plain autograd."""
    goal = run.vlm.tokenizer.convert_tokens_to_ids("▁car")
    places = list(run.image.positions)
    slopes = []
    for alpha in (0.0, 0.5, 1.0):
        embeds = run.embeddings.clone()
        embeds[places] *= alpha
        embeds.requires_grad_(True)
        run.vlm.model(inputs_embeds=embeds[None]).logits[0, -1, goal].backward()
        assert embeds.grad is not None
        slopes.append(embeds.grad[places])
    run.vlm.model.zero_grad()
    mean = slopes[0] / 4 + slopes[1] / 2 + slopes[2] / 4
    wanted = mean * run.image.embeddings
    found = rs.tokens.integrated_gradients(run, goal, baseline="zero", steps=2)
    torch.testing.assert_close(found.signed, wanted.sum(-1), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.scores, wanted.abs().sum(-1), atol=1e-5, rtol=1e-4)


def test_batching_does_not_matter(run: Run) -> None:
    one, many = (
        rs.tokens.integrated_gradients(run, "cat", steps=10, batch_size=size) for size in (1, 7)
    )
    torch.testing.assert_close(one.signed, many.signed, atol=1e-5, rtol=1e-4)


def test_chosen_tokens_have_the_largest_scores(run: Run) -> None:
    chosen = rs.tokens.by_gradient(run, target=" cat", n=6, steps=10)
    assert len(chosen) == 6
    best = chosen.scores.argsort(descending=True)[:6].tolist()
    assert chosen == run.image.at(best)
    assert chosen.completeness >= 0
    assert torch.equal(rs.tokens.attribution(run, " cat", None, 10), chosen.scores)
    assert len(run.counterfactuals([rs.Ablate(chosen)]).logits) == 1
    assert len(chosen | run.image.at([0])) in (6, 7)


def test_parameters_get_no_gradient(run: Run) -> None:
    run.vlm.model.zero_grad(set_to_none=True)
    rs.tokens.by_gradient(run, "cat", 3, steps=3)
    assert all(parameter.grad is None for parameter in run.vlm.model.parameters())
    assert all(parameter.requires_grad for parameter in run.vlm.model.parameters())


def test_refusals(run: Run) -> None:
    with pytest.raises(rs.InputError, match="tokenizer knows"):
        rs.tokens.by_gradient(run, "zebra", 3)
    with pytest.raises(rs.InputError, match="steps from 2 up"):
        rs.tokens.by_gradient(run, "cat", 3, steps=1)
    with pytest.raises(rs.InputError, match="n from 1 to 49"):
        rs.tokens.by_gradient(run, "cat", 50)
    with pytest.raises(rs.InputError, match="baseline"):
        rs.tokens.integrated_gradients(run, "cat", baseline=torch.zeros(5))
