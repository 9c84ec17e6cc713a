"""Targets: which tokens, read at which positions, and gradients of exactly these."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from plain import plain_score

import retinoscope as rs
from retinoscope.engine import Run
from retinoscope.saliency import Target, resolve

TEXT = "Is there a cat in this image?"
SAID = ("It", "is", "a", "red", "cat", "and", "a", "red", "car", "</s>")


@pytest.fixture(scope="module")
def run(tiny: rs.VLM, noise_image: Callable[..., Image.Image]) -> Run:
    return tiny.run(tiny.prompt(noise_image(), TEXT))


@pytest.fixture(scope="module")
def read(tiny: rs.VLM, run: Run) -> Run:
    """The same prompt with a text behind it."""
    return tiny.run(run.prompt, continuation=said(tiny))


def said(vlm: rs.VLM) -> list[int]:
    names = [word if word.startswith("<") else f"▁{word}" for word in SAID]
    return vlm.tokenizer.convert_tokens_to_ids(names)


def plain(run: Run, ids: list[int], before: list[int], score: str = "log-probability") -> float:
    """The score of `ids` behind the prompt and `before`."""
    vlm = run.vlm
    fed = torch.tensor([*before, *ids[:-1]], dtype=torch.long)
    embeds = torch.cat(
        [run.embeddings[: run.n - run.inputs.n_generated], vlm.adapter.embedding(fed)]
    )
    with torch.no_grad():
        return float(plain_score(vlm, embeds, ids, score))


def test_a_word_is_the_sum_over_its_pieces(tiny: rs.VLM, run: Run) -> None:
    ids = tiny.tokenizer.convert_tokens_to_ids(["▁red", "▁cat", "▁fish"])
    for count in (1, 2, 3):
        word = " ".join(("red", "cat", "fish")[:count])
        for score in ("log-probability", "logit"):
            goal = resolve(run, Target.word(word, score))
            assert goal.ids == tuple(ids[:count])
            assert goal.value == pytest.approx(plain(run, ids[:count], [], score), abs=1e-4)
            assert float(goal.gradient.here.values[0]) == pytest.approx(goal.value, abs=1e-4)
    assert resolve(run, "red cat").ids == tuple(ids[:2])
    assert resolve(run, ids[0]).value == resolve(run, Target.token(ids[0])).value
    assert resolve(run, torch.tensor(ids[0])).ids == resolve(run, np.int64(ids[0])).ids  # type: ignore[arg-type]
    assert resolve(run, "red").run is run


def test_a_segment_is_read_where_it_is_predicted(read: Run, run: Run, tiny: rs.VLM) -> None:
    words = said(tiny)
    goal = resolve(read, Target.segment("red cat"))
    assert goal.ids == tuple(words[3:5])
    assert goal.positions == (run.n + 2, run.n + 3)
    assert [read.tokens[place + 1] for place in goal.positions] == [" red", " cat"]
    assert goal.text == "'red cat'"
    assert goal.value == pytest.approx(plain(read, words[3:5], words[:3]), abs=1e-4)
    again = resolve(read, Target.segment("red", occurrence=1))
    assert again.positions == (run.n + 6,)
    # Characters are those of "It is a red cat and a red car".
    assert resolve(read, Target.segment((8, 15))).ids == goal.ids
    assert resolve(read, Target.segment((9, 13))).ids == goal.ids
    first = resolve(read, Target.segment("It"))
    assert first.positions == (run.n - 1,)
    assert first.value == pytest.approx(float(run.logits.log_softmax(-1)[words[0]]), abs=1e-4)


def test_the_gradient_is_that_of_the_predicting_position(read: Run, tiny: rs.VLM) -> None:
    """Against autograd through the model's own forward pass; that of the word's own row differs."""
    goal = resolve(read, Target.segment("cat and"))
    words = said(tiny)
    embeds = read.embeddings[: goal.run.n].clone().requires_grad_(True)
    score = plain_score(tiny, embeds, words[4:6], "log-probability")
    (wanted,) = torch.autograd.grad(score, embeds)
    visual = list(read.image.positions)
    found = goal.gradient.here.gradients[0]
    scale = float(wanted[visual].abs().max())
    torch.testing.assert_close(found, wanted[visual], atol=1e-5 * scale, rtol=1e-4)
    torch.testing.assert_close(goal.states.gradients[0], wanted, atol=1e-5 * scale, rtol=1e-4)
    later = resolve(read, Target.segment("and a"))
    assert float((later.gradient.here.gradients[0] - found).abs().max()) > 0.1 * scale


def test_a_difference_is_one_of_logits(tiny: rs.VLM, run: Run) -> None:
    yes, no = tiny.tokenizer.convert_tokens_to_ids(["▁yes", "▁no"])
    goal = resolve(run, Target.difference("yes", no))
    assert (goal.ids, goal.versus) == ((yes,), no)
    wanted = float(run.logits[yes] - run.logits[no])
    assert goal.value == pytest.approx(wanted, abs=1e-5)
    assert float(goal.gradient.here.values[0]) == pytest.approx(wanted, abs=1e-5)
    assert goal.text == "'yes' minus 'no'"


def test_interventions_act_on_every_token_of_the_target(read: Run, tiny: rs.VLM) -> None:
    """Against ablated embeddings in the model's own forward pass."""
    goal = resolve(read, Target.segment("red cat and"))
    words = said(tiny)
    part = read.image.at([3, 20, 21])
    embeds = read.embeddings[: goal.run.n].clone()
    embeds[list(part.positions)] = 0
    with torch.no_grad():
        wanted = float(plain_score(tiny, embeds, words[3:6], "log-probability"))
    seen = []

    def ablated(one: Run) -> list[rs.Ablate]:
        seen.append(one.n)
        return [rs.Ablate(one.image.at([3, 20, 21]), rs.fill.zero())]

    assert float(goal.under(ablated)[0]) == pytest.approx(wanted, abs=1e-4)
    assert seen == [goal.run.n - 2, goal.run.n - 1, goal.run.n]


def test_a_goal_is_resolved_once(read: Run, run: Run) -> None:
    goal = resolve(read, Target.segment("cat"))
    assert resolve(read, goal) is goal
    assert goal.gradient is goal.gradient
    with pytest.raises(rs.InputError, match="a target of this run"):
        resolve(run, goal)


def test_refusals(run: Run, read: Run) -> None:
    for target, message in (
        ("zebra", "tokenizer knows, got 'zebra'"),
        ("red zebra", "tokenizer knows, got 'red zebra'"),
        (10_000, "token id from 0 to"),
        (Target.difference("yes", "yes"), "two different tokens"),
        (Target.difference("red cat", "no"), "one token each .* got 'red cat', which is 2"),
        (Target.segment("cat"), "text that the model wrote"),
        (1.5, "a Target, a word or a token id.* got 1.5"),
        (None, "a Target, a word or a token id.* got None"),
    ):
        with pytest.raises(rs.InputError, match=message):
            resolve(run, target)  # type: ignore[arg-type]
    for target, message in (
        (Target.segment("dog"), "in the text 'It is a red cat and a red car', got 'dog'"),
        (Target.segment("red", occurrence=2), "red car' 3 times, got 'red'"),
        (Target.segment(""), "a segment that is in the text"),
        (Target.segment((20, 90)), "within the 29 characters"),
        (Target.segment((7, 8)), "with a letter in it"),
    ):
        with pytest.raises(rs.InputError, match=message):
            resolve(read, target)
    with pytest.raises(rs.InputError, match="as score, got 'odds'"):
        Target.word("cat", "odds")  # type: ignore[arg-type]
