"""Raw attention, rollout and relevancy against the library's eager attention and its autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from PIL import Image
from plain import plain_score
from torch import Tensor

import retinoscope as rs
from retinoscope.engine import Run
from retinoscope.saliency import Goal, Target, attention, chefer, resolve, rollout
from retinoscope.saliency._attention_maps import rollout_rows
from retinoscope.saliency._rollout import relevancy_of


@pytest.fixture(scope="module")
def goal(tiny: rs.VLM, noise_image: Callable[..., Image.Image]) -> Goal:
    """Two tokens behind each other, on a model whose own attention is not eager."""
    run = tiny.run(tiny.prompt(noise_image(50, 70), "Is there a cat in this image?"))
    return resolve(run, Target.word("red car"))


@pytest.fixture(scope="module")
def eager(tiny_eager: rs.VLM, goal: Goal) -> tuple[list[Tensor], list[Tensor]]:
    """Weights of every block and the score's gradients to them, by transformers alone."""
    model: Any = tiny_eager.model
    embeds = goal.run.embeddings.clone().requires_grad_(True)
    out = model(inputs_embeds=embeds[None], output_attentions=True)
    logits = out.logits[0, list(goal.positions)].log_softmax(-1)
    score = sum(logits[i, index] for i, index in enumerate(goal.ids))
    gradients = torch.autograd.grad(score, out.attentions)
    return [one.detach()[0] for one in out.attentions], [one[0] for one in gradients]


def test_weights_and_their_gradients_are_the_librarys(
    goal: Goal, eager: tuple[list[Tensor], list[Tensor]]
) -> None:
    before = goal.run.adapter.attention_implementation
    trace = goal.weights
    assert goal.run.adapter.attention_implementation == before == "sdpa"
    assert len(trace.weights) == 4
    for found, wanted in zip(trace.weights, eager[0], strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-4)
    scale = max(float(one.abs().max()) for one in eager[1])
    assert scale > 1e-3
    for found, wanted in zip(trace.gradients, eager[1], strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5 * scale, rtol=1e-3)


def test_raw_attention(goal: Goal, eager: tuple[list[Tensor], list[Tensor]]) -> None:
    run, places = goal.run, list(goal.origin.image.positions)
    rows = [weights[:, list(goal.positions)][:, :, places] for weights in eager[0]]
    for settings, wanted in (
        ({"layer": 2}, rows[2].mean((0, 1))),
        ({"layer": 1, "head": 3}, rows[1][3].mean(0)),
        ({"layer": 1, "heads": "max"}, rows[1].amax(0).mean(0)),
        ({}, torch.stack(rows).mean((0, 1, 2))),
    ):
        found = attention(goal.origin, goal, **settings)  # type: ignore[arg-type]
        torch.testing.assert_close(
            torch.from_numpy(found.values.copy()), wanted.double(), atol=1e-6, rtol=1e-4
        )
    whole = run.attention(2, goal.positions).mean((0, 1))
    rest = [place for place in range(run.n) if place not in places]
    inside = float(attention(goal.origin, goal, layer=2).values.sum())
    assert inside + float(whole[rest].sum()) == pytest.approx(1, abs=1e-5)


def test_rollout_rows_add_up_to_1_and_keep_causality(
    goal: Goal, eager: tuple[list[Tensor], list[Tensor]]
) -> None:
    n = goal.run.n
    product = torch.eye(n)
    for layer, weights in enumerate(eager[0]):
        mixed = weights.mean(0) + torch.eye(n)
        product = mixed / mixed.sum(-1, keepdim=True) @ product
        rows = rollout_rows(goal, layer)
        torch.testing.assert_close(rows, product[list(goal.positions)], atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(rows.sum(-1), torch.ones(2))
        assert not rows[0, n - 1].any(), "the first token's row sees what comes after it"
        found = rollout(goal.origin, goal, layer=layer).values
        visual = product[list(goal.positions)][:, list(goal.origin.image.positions)].mean(0)
        assert found == pytest.approx(visual.numpy(), abs=1e-6)
    assert rollout(goal.origin, goal).values == pytest.approx(found)


def whole_relevancy(goal: Goal) -> Tensor:
    trace = goal.weights
    return relevancy_of(trace.weights, trace.gradients, goal.run.n)


def test_relevancy_by_its_definition(goal: Goal, eager: tuple[list[Tensor], list[Tensor]]) -> None:
    n = goal.run.n
    wanted = torch.eye(n)
    for weights, gradients in zip(*eager, strict=True):
        wanted = wanted + (weights * gradients).clamp(min=0).mean(0) @ wanted
    found = whole_relevancy(goal)
    scale = float((wanted - torch.eye(n)).max())
    torch.testing.assert_close(found, wanted, atol=1e-5 * scale, rtol=1e-3)
    assert (found >= torch.eye(n)).all()
    rows = wanted[list(goal.positions)][:, list(goal.origin.image.positions)].mean(0)
    assert chefer(goal.origin, goal).values == pytest.approx(rows.numpy(), rel=1e-3, abs=1e-5)
    last = (eager[0][3] * eager[1][3]).clamp(min=0).mean(0)
    assert chefer(goal.origin, goal, start=3).values == pytest.approx(
        last[list(goal.positions)][:, list(goal.origin.image.positions)].mean(0).numpy(),
        rel=1e-3,
        abs=1e-6,
    )


def test_without_a_gradient_relevancy_is_the_identity(build: Any, square: Image.Image) -> None:
    model = build.model()
    index = build.tokenizer().convert_tokens_to_ids("▁cat")
    with torch.no_grad():
        model.lm_head.weight[index] = 0
    vlm = rs.load(model=model, processor=build.processor())
    run = vlm.run(vlm.prompt(square, "Is there a cat in this image?"))
    goal = resolve(run, Target.token(index, "logit"))
    assert goal.value == 0
    assert torch.equal(whole_relevancy(goal), torch.eye(run.n))
    assert not chefer(run, goal).values.any()


def test_targets_at_one_position_share_attention_and_not_relevancy(
    tiny: rs.VLM, square: Image.Image
) -> None:
    run = tiny.run(tiny.prompt(square, "Is there a cat in this image?"))
    one, other = (resolve(run, word) for word in ("yes", "red"))
    assert attention(run, one).values == pytest.approx(attention(run, other).values)
    ours, theirs = (chefer(run, goal).values for goal in (one, other))
    assert abs(ours - theirs).max() > 0.1 * abs(ours).max()


def test_several_images(tiny: rs.VLM, noise_image: Callable[..., Image.Image]) -> None:
    images = [noise_image(50, 70, seed=1), noise_image(60, 40, seed=2)]
    run = tiny.run(tiny.prompt(images, "Is there a cat in this image?"))
    whole = run.attention(1).mean((0, 1))
    for number, image in enumerate(run.images):
        found = attention(run, "yes", layer=1, image=number)
        assert found.image.size == images[number].size
        assert found.values == pytest.approx(whole[list(image.positions)].numpy(), abs=1e-6)


def test_refusals(goal: Goal, tiny: rs.VLM) -> None:
    run: Run = goal.origin
    for make, message in (
        (lambda: attention(run, goal, layer=4), "blocks from 0 to 3, got 4"),
        (lambda: attention(run, goal, head=4), "heads from 0 to 3, got 4"),
        (lambda: attention(run, goal, heads="min"), "'mean' or 'max', got 'min'"),  # type: ignore[arg-type]
        (lambda: attention(run, goal, image=1), "images from 0 to 0, got 1"),
        (lambda: rollout(run, goal, layer=-1), "blocks from 0 to 3, got -1"),
        (lambda: chefer(run, goal, start=4), "blocks from 0 to 3, got 4"),
    ):
        with pytest.raises(rs.InputError, match=message):
            make()
    blank = tiny.run(tiny.prompt(None, "What is the color of the cat"))
    for method in (attention, rollout, chefer):
        with pytest.raises(rs.InputError, match="with an image"):
            method(blank, "yes")


def test_the_plain_score_is_the_goals(goal: Goal, tiny: rs.VLM) -> None:
    with torch.no_grad():
        wanted = plain_score(tiny, goal.run.embeddings, list(goal.ids), "log-probability")
    assert goal.value == pytest.approx(float(wanted), abs=1e-4)
